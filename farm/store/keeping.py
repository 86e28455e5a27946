"""Directories of the user's cache that many processes share: made once, marked when used, removed when nobody does.

`NAME` is made and removed by who holds the lock on `NAME.lock` alone; who uses it holds that lock, shared, while it
looks whether it is there and marks it. So nobody takes a directory that is just being removed, and what was marked
stays for the days that any use of it may last.
"""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Callable, Iterator
from pathlib import Path

from farm.store.files import file_lock, mark_used

_READ_ONLY = {errno.EACCES, errno.EPERM, errno.EROFS}


def keep(place: Path, is_whole: Callable[[], bool], make: Callable[[], None], *, beside: tuple[Path, ...] = ()) -> None:
    """Have `place` in a cache, and what is made `beside` it: made under its lock unless it is whole, and marked as used
    now."""
    lock = lock_of(place)
    with _shared(lock):
        if is_whole():
            _mark(place, *beside)
            return
    lock.parent.mkdir(parents=True, exist_ok=True)
    with file_lock(lock):
        if not is_whole():
            make()
        _mark(place, *beside)


def lock_of(place: Path) -> Path:
    """The file whose lock says who makes or removes a directory of a cache."""
    return place.with_name(place.name + ".lock")


def _mark(*places: Path) -> None:
    for place in places:
        mark_used(place)


@contextlib.contextmanager
def _shared(lock: Path) -> Iterator[None]:
    """Hold a lock together with other users. In a cache that is not there yet, or only read, there is nothing to hold:
    nothing can be removed from it."""
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(file_lock(lock, shared=True))
        except OSError as error:
            if error.errno not in {errno.ENOENT, *_READ_ONLY}:
                raise
        yield
