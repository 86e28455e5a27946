"""Versions as upstream, Debian and archive names write them, as PEP 440 versions."""

from __future__ import annotations

import re
from collections.abc import Iterable

from packaging.version import InvalidVersion, Version

from farm.model import pypa
from farm.watch.values import Offer

_REPACKED = re.compile(r"[+.~-]?(?:dfsg|ds|repack|debian)[\d.]*(?:[+~]+\d[\d.]*)?$")  # +dfsg1, .dfsg, +ds, +repack1
_SNAPSHOT = re.compile(r"(?:git|svn|hg|bzr|cvs|[+~]\d{8})")
_SAME_MARKS = re.compile(r"\d+([_-])\d+(?:\1\d+)*")  # 2_13_3, 74-2
_LETTER = re.compile(r"\d[a-z]$")


def plain(text: str) -> str:
    """A version as recipes write it: with dots and without a ``v``."""
    text = text.strip()
    dotted = text.replace("_", ".").replace("-", ".") if _SAME_MARKS.fullmatch(text) else text
    return dotted[1:] if re.match(r"[vV]\d", dotted) else dotted


def of_name(text: str) -> Version | None:
    """The version in a name on a page or of an archive: ``2.13.3``, ``v3.6.0``, ``VER-2-13-3`` without its letters.

    None for what is no PEP 440 version, or one with an epoch or a local part.
    """
    try:
        version = pypa.version(plain(text))
    except InvalidVersion:
        return None
    return None if version.epoch or version.local else version


def of_debian(text: str) -> Version | None:
    """The version in the name of one of Debian's original tarballs: ``6.3.0+dfsg`` is 6.3.0, ``1.3.dfsg+really1.3.2``
    is 1.3.2.

    ``~rc1`` marks what comes before a release (deb-version(7)). None for snapshots between releases, and for versions
    that end in a letter: in Debian that is a later one, in PEP 440 an alpha.
    """
    own = _REPACKED.sub("", text.rpartition("really")[2])
    if _SNAPSHOT.search(own) or "+" in own or _LETTER.search(own):
        return None
    return of_name(own.replace("~", ""))


def offer(text: str, version: Version | None) -> tuple[Offer, ...]:
    """One release, or none for a text that is no version."""
    return (Offer(version=version, text=plain(text)),) if version is not None else ()


def ordered(offers: Iterable[Offer]) -> tuple[Offer, ...]:
    """Each version once, oldest first."""
    first: dict[Version, Offer] = {}
    for item in offers:
        first.setdefault(item.version, item)
    return tuple(first[version] for version in sorted(first))
