"""A page of upstream's: archives are recognised by a regular expression."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from html import unescape
from urllib.parse import unquote

from farm.fetch import page
from farm.fetch.download import CannotReachError
from farm.model.recipe_upkeep import Watch
from farm.watch import versions
from farm.watch.each import ask_each
from farm.watch.values import Answer, Asking, Offer, Silence


class Page:
    """Reads each page once and looks for names of archives, in addresses and in text."""

    def ask(self, watches: Sequence[Watch], asking: Asking) -> Mapping[Watch, Answer]:
        """The releases that each page names."""
        return ask_each(watches, _ask, asking)


def _ask(watch: Watch, _asking: Asking) -> Answer:
    try:
        text = page.read(watch.at)
    except CannotReachError as error:
        return Silence(why=str(error))
    found = offers(text, watch.pattern)
    return found or Silence(why=f"{watch.at} has nothing that matches {watch.pattern!r}", reached=True)


def offers(text: str, pattern: str) -> tuple[Offer, ...]:
    """The versions that a pattern's group finds on a page, oldest first; what is no version is passed by."""
    plain = unescape(text)
    seen: list[Offer] = []
    for words in dict.fromkeys((plain, unquote(plain))):
        for match in re.finditer(pattern, words):
            version = match["version"] if "version" in match.re.groupindex else match[1]
            seen += versions.offer(version or "", versions.of_name(version or ""))
    return versions.ordered(seen)
