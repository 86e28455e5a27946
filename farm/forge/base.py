"""What a forge is to the farm: pull requests for branches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class PullState(StrEnum):
    """What became of a pull request."""

    OPEN = "open"
    CLOSED = "closed"
    MERGED = "merged"


@dataclass(frozen=True, slots=True, kw_only=True)
class PullRequest:
    """A pull request as the forge has it. `url` is its page."""

    number: int
    url: str
    title: str
    body: str
    labels: tuple[str, ...]
    state: PullState


class Forge(Protocol):
    """One repository on a forge. All methods raise ForgeError."""

    def default_branch(self) -> str:
        """The branch that changes go to."""
        ...

    def find(self, branch: str) -> PullRequest | None:
        """The newest pull request from a branch of this repository, whatever became of it."""
        ...

    def create(self, *, branch: str, base: str, title: str, body: str) -> PullRequest:
        """Open one, or give the one that somebody else opened in this moment."""
        ...

    def update(self, number: int, *, title: str, body: str) -> PullRequest:
        """Change what it says."""
        ...

    def label(self, number: int, labels: Sequence[str]) -> None:
        """Add labels; those that it has stay."""
        ...

    def comment(self, number: int, text: str) -> None:
        """Say something, once: a comment that is there already is not made again."""
        ...
