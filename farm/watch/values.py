"""What upstream offers, and how that compares with a recipe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from packaging.version import Version

from farm.model.recipe_upkeep import Watch
from farm.process import Cancel


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A release of upstream's. `text` is the version as upstream writes it, but for what stands between its numbers."""

    version: Version
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Silence:
    """No release was found; `why` ends a sentence that begins with the state: the place did not answer, or it did
    (`reached`) and has none."""

    why: str
    reached: bool = False


Answer = tuple[Offer, ...] | Silence


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """How upstream is asked. `cache` is the user's cache; `accept_expired` takes a Debian index that is no longer fed;
    `cancel` ends the programs that run."""

    cache: Path
    accept_expired: bool = False
    cancel: Cancel = field(default_factory=Cancel)


class Upstream(Protocol):
    """One kind of place where releases appear: `farm.watch.page`, `debian`, `pypi`."""

    def ask(self, watches: Sequence[Watch], asking: Asking) -> Mapping[Watch, Answer]:
        """What is seen at each place of this kind. Answers for every one, and raises for none."""
        ...


class State(StrEnum):
    """How a recipe compares with upstream."""

    CURRENT = "up to date"
    NEWER = "newer upstream"
    BEHIND = "upstream is behind"  # Debian may be, or a release was withdrawn
    SILENT = "cannot be reached"
    NOTHING = "no release found"
    UNWATCHED = "not watched"
    UNKNOWN = "not looked yet"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """What was seen of a recipe's upstream.

    `here` and `upstream` are the newest versions (`upstream` is empty if none is known), `newer` all that the recipe
    lacks, oldest first; `checked` when upstream was last asked, None if never; `why` says why it did not answer, or
    what it had instead of releases.
    """

    recipe: str
    here: str
    upstream: str
    newer: tuple[str, ...] = ()
    state: State
    checked: datetime | None
    why: str = ""
