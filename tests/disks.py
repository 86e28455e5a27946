"""Small disks for tests of what happens when they are full."""

from __future__ import annotations

import contextlib
import errno
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_PIECE = 16 << 20


@contextmanager
def small_disk(place: Path, size: str) -> Iterator[Path]:
    """A file system of this size; skips the test where nothing may be mounted."""
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"no tmpfs can be mounted here: {done.stderr.strip()} (the file size limit test runs instead)")
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)


@contextmanager
def filled(disk: Path) -> Iterator[None]:
    """No byte is free on a disk."""
    filler = disk / "filler"
    handle = os.open(filler, os.O_CREAT | os.O_WRONLY)
    try:
        piece, at = _PIECE, 0
        while piece >= 4096:  # the size of a page: what is left is less
            try:
                os.posix_fallocate(handle, at, piece)
                at += piece
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
                piece //= 4
        yield
    finally:
        os.close(handle)
        with contextlib.suppress(FileNotFoundError):
            filler.unlink()
