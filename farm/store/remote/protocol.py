"""What every shared place can do: read, write and list named objects. Their meaning: farm.store.shared."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One object: its name, its size in bytes, and when it was last written (seconds since 1970, *its* clock)."""

    name: str
    size: int
    modified: float


class Remote(Protocol):
    """A shared place. Names are relative paths of plain ASCII: ``blobs/3a/3a..f/native_gmp-....whl``.

    An object is seen whole or not at all. Safe for threads, and for a child process after a fork. Everything may raise
    UnavailableError (worth a retry) or StoreError (is not: credentials, permissions, no such bucket); neither holds a
    secret.
    """

    @property
    def id(self) -> str:
        """Names the place, in messages and in pointers of local stores: ``s3://bucket/prefix``. Without secrets."""

    @property
    def writable(self) -> bool:
        """False if nothing can be written or listed here: a web server."""

    def read(self, name: str) -> bytes | None:
        """A small object; None if it does not exist."""

    def download(self, name: str, target: Path, *, most: int) -> bool:
        """Write an object into `target`, which may exist; False if there is no such object. Of one that is larger than
        `most` bytes it stops soon after them: whoever serves it does not decide how much of our disk it fills."""

    def look(self, name: str) -> Entry | None:
        """What is known of an object without reading it; None if it does not exist."""

    def create(self, name: str, data: bytes) -> bool:
        """Make a small object unless it exists. Of any number of callers at once, exactly one gets True."""

    def write(self, name: str, data: bytes) -> None:
        """Make or replace a small object."""

    def upload(self, name: str, source: Path, sha256: str) -> None:
        """Make or replace an object by a file's content, whose hash the caller knows."""

    def entries(self, prefix: str) -> Iterator[Entry]:
        """All objects whose name begins with `prefix`, a folder that ends in a slash; in no order."""

    def remove(self, name: str) -> None:
        """Remove an object; nothing happens if it does not exist."""

    def leftovers(self, older_than: float) -> Iterator[Entry]:
        """What interrupted writers left that nobody can see as an object, last touched before `older_than`."""

    def remove_leftover(self, entry: Entry) -> None:
        """Remove what `leftovers` gave."""
