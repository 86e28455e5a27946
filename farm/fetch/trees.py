"""Questions to a tree that was unpacked: where its links lead, how new it is."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from farm.errors import SourceError
from farm.fetch.guard import NOT_USABLE, check_link

_MOST_LINKS = 40  # on one way: the kernel follows no more (path_resolution(7)), and no honest archive needs more


def check_links(root: Path, archive: str) -> None:
    """Refuse a tree with a symbolic link that leads out of it by way of other links. Raises SourceError."""
    for path in _links(root):
        if not _leads_inside(root, path):
            raise SourceError(
                f"{path.relative_to(root)}: is a link that leads outside the tree or in a ring",
                where=archive,
                fix=NOT_USABLE,
            )


def check_link_texts(root: Path, archive: str) -> None:
    """Refuse a tree with a symbolic link whose text leaves it at any point of the way. Raises SourceError."""
    for path in _links(root):
        check_link(root, path.parent, str(path.readlink()), str(path.relative_to(root)), archive)


def _links(root: Path) -> Iterator[Path]:
    for folder, folders, files in os.walk(root):
        for name in (*folders, *files):
            path = Path(folder) / name
            if path.is_symlink():
                yield path


def _leads_inside(root: Path, link: Path) -> bool:
    """Walk the way as the kernel would, one part at a time; a way that ends at nothing is inside, a ring is not."""
    place, ahead, links = link.parent, [str(link.name)], 0
    while ahead and links <= _MOST_LINKS:
        part = ahead.pop(0)
        if part == "..":
            if place == root:
                return False
            place = place.parent
            continue
        place = place / part
        if place.is_symlink():
            text = place.readlink()
            if text.is_absolute():
                return False
            place, ahead, links = place.parent, [*text.parts, *ahead], links + 1
    return not ahead


def newest_time(tree: Path) -> int:
    """The newest modification time of a regular file in a tree, in seconds; 0 for an empty tree."""
    newest = 0
    for folder, _, files in os.walk(tree):
        for file in files:
            entry = (Path(folder) / file).lstat()
            if stat.S_ISREG(entry.st_mode):
                newest = max(newest, int(entry.st_mtime))
    return newest
