"""Room on the disk while programs work: one that failed while there was none has said nothing about what it worked on
(docs/decisions/017)."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

_NO_ROOM = 1 << 20  # bytes
_TICK = 0.1  # seconds


def is_out_of_room(place: Path) -> bool:
    """Whether the disk is full now: a program that died there may have died for that, whatever it said."""
    try:
        return shutil.disk_usage(place).free < _NO_ROOM
    except OSError:
        return False


@contextmanager
def room_watched(place: Path) -> Iterator[Callable[[], bool]]:
    """Look at the disk ten times a second. Gives what tells whether it was full at any look, or is now.

    A look after the end is not enough: a linker that dies on a full disk takes its half-written output with it, and
    what others give up meanwhile makes room, too.
    """
    over, was_full = threading.Event(), threading.Event()

    def watch() -> None:
        while not over.wait(_TICK):
            if is_out_of_room(place):
                was_full.set()
                return

    watcher = threading.Thread(target=watch, name="farm-room", daemon=True)
    watcher.start()
    try:
        yield lambda: was_full.is_set() or is_out_of_room(place)
    finally:
        over.set()
        watcher.join()
