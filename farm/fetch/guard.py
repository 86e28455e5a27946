"""What may be written below a directory: nothing that leaves it, nothing through a link, nothing that fills the disk.

Everything here refuses with a SourceError that names the archive and the member, before anything is written.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from farm.errors import SourceError

NOT_USABLE = "do not use it: name another archive in the recipe"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What an archive may hold: bytes after unpacking, and members."""

    size: int = 4_000_000_000
    members: int = 400_000


@dataclass(slots=True)
class Budget:
    """Counts what is unpacked; refuses before the disk is full."""

    archive: str
    limits: Limits
    size: int = 0
    members: int = 0

    def member(self, name: str) -> None:
        """Count a member."""
        self.members += 1
        if self.members > self.limits.members:
            raise SourceError(f"{name}: more than {self.limits.members} members", where=self.archive, fix=NOT_USABLE)

    def bytes(self, name: str, count: int) -> None:
        """Count `count` bytes of a member's content."""
        self.size += count
        if self.size > self.limits.size:
            raise SourceError(
                f"{name}: unpacks to more than {self.limits.size} bytes", where=self.archive, fix=NOT_USABLE
            )


def place(into: Path, name: str, archive: str) -> Path:
    """Where a member goes; refuses every name that could lead elsewhere."""
    if not is_inside(name):
        raise SourceError(f"{name!r}: leaves the directory it is unpacked into", where=archive, fix=NOT_USABLE)
    return into.joinpath(*PurePosixPath(name).parts)


def is_inside(name: str) -> bool:
    """True for a relative path without ``..``, backslash or drive."""
    parts = PurePosixPath(name).parts
    return not (name.startswith("/") or "\\" in name or "\0" in name or ".." in parts or name[1:2] == ":")


def refuse_link_parent(into: Path, target: Path, name: str, archive: str) -> None:
    """Nothing is written *through* a symbolic link, even one that stays inside. `target` is `into` or lies below it."""
    place = into
    for part in target.relative_to(into).parts[:-1]:
        place = place / part
        if place.is_symlink():
            raise SourceError(f"{name!r}: its directory is a symbolic link", where=archive, fix=NOT_USABLE)


def check_link(into: Path, folder: Path, linkname: str, name: str, archive: str) -> None:
    """Refuse a symbolic link whose text leaves the tree at any point of the way."""
    depth = len(folder.relative_to(into).parts)
    leaves = not linkname or linkname.startswith("/") or "\0" in linkname
    for part in PurePosixPath(linkname).parts:
        depth += -1 if part == ".." else 1
        leaves = leaves or depth < 0
    if leaves:
        raise SourceError(f"{name}: is a link to {linkname!r}, outside the tree", where=archive, fix=NOT_USABLE)


def fresh(target: Path) -> None:
    """Make room for a new file: its directory is there, an older file or link is not."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.is_symlink() or target.is_file():
        target.unlink()


def copy(source: IO[bytes], target: Path, name: str, budget: Budget, *, mode: int, mtime: float | None) -> None:
    """Write a member's content, within the budget; `mode` loses all that a source file needs not."""
    fresh(target)
    with target.open("xb") as out:
        while block := source.read(1 << 20):
            budget.bytes(name, len(block))
            out.write(block)
    target.chmod((mode & 0o755) | 0o600)
    if mtime is not None:
        os.utime(target, (mtime, mtime))
