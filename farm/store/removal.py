"""One thing that `farm gc` takes away: what it is, how large, and how it goes."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

from farm.store.files import temporary_name
from farm.store.home import remove_tree


@dataclass(frozen=True, slots=True, kw_only=True)
class Removal:
    """One thing that was, or would be, removed. `kind` is a word for people, without its plural; `size` in bytes."""

    kind: str
    path: Path
    size: int
    name: str
    key: str = ""


def take_away(path: Path) -> None:
    """Take a tree away in one step, then remove it: who looks for it by its name finds all of it or nothing. What is
    left of a removal that was killed is named after its process, and goes with the next one."""
    gone = path.with_name(temporary_name(".gone"))
    try:
        path.rename(gone)
    except FileNotFoundError:
        return
    remove_tree(gone)


def size_of(path: Path) -> int:
    """Bytes of a file or of a tree, as far as it is there."""
    if not path.is_dir() or path.is_symlink():
        with contextlib.suppress(FileNotFoundError):
            return path.lstat().st_size
        return 0
    size = 0
    for folder, _, files in os.walk(path):
        for name in files:
            with contextlib.suppress(FileNotFoundError):
                size += (Path(folder) / name).lstat().st_size
    return size
