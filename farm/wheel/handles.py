"""Reading and writing files of wheels where Unix's own calls are not there: `farm repair` runs on Windows, too."""

from __future__ import annotations

import os
from pathlib import Path

_FLAGS = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)


def open_to_read(path: Path) -> int:
    """A handle that no child process inherits. Raises OSError."""
    return os.open(path, _FLAGS)


def read_at(handle: int, size: int, offset: int) -> bytes:
    """Up to `size` bytes from `offset`. Where there is no `pread`, only one thread may use the handle."""
    if hasattr(os, "pread"):
        return os.pread(handle, size, offset)
    os.lseek(handle, offset, os.SEEK_SET)
    return os.read(handle, size)


def set_mode(handle: int, mode: int) -> None:
    """The permissions of an open file; nothing where files have none."""
    if hasattr(os, "fchmod"):
        os.fchmod(handle, mode)
