"""What of a user's cache may go: what no catalog's pins name and nobody used for a while. Farms that want it make or
fetch it again.

Safe while farms run. A directory goes under the lock that its makers hold and that its users hold while they mark it
(`farm.store.keeping`), and only if no mark is younger than any use of it can last.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from farm.store.files import disk_errors, file_lock, scan
from farm.store.keeping import lock_of
from farm.store.owner import owner_of_name
from farm.store.removal import Removal, size_of, take_away
from farm.store.scratch import sweep_dead

IN_USE_DAYS = 1.0
"""So long somebody may use what was marked: a build, a test, an upstream's test suite."""

DOWNLOAD_LOCK = ".lock"  # inside a download's directory, which stays with it
_DAY = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Cache:
    """One directory of a user's cache. `kind` is a word for people; `named` are the names in it that pins stand for;
    `lock` says which file's lock covers a place in it."""

    kind: str
    place: Path
    named: Collection[str]
    lock: Callable[[Path], Path] = lock_of


def sweep(cache: Cache, *, keep_days: float, named_days: float = math.inf, dry_run: bool) -> list[Removal]:
    """Remove what nobody used for `keep_days`, and what pins name after `named_days`. Raises StoreError."""
    unnamed, named = _since(keep_days), _since(named_days)
    removals = sweep_dead([cache.place], dry_run=dry_run)
    with disk_errors(cache.place):
        for path in _places(cache.place):
            old = named if path.name in cache.named else unnamed
            if _used(path) < old:
                removals += _remove(cache, path, old, dry_run=dry_run)
    return removals


def _remove(cache: Cache, path: Path, old: float, *, dry_run: bool) -> Iterator[Removal]:
    """Look once more under the lock: somebody may have taken it meanwhile."""
    if dry_run:
        yield from _counted(cache, path)
        return
    with file_lock(cache.lock(path)):
        if _used(path) < old:
            yield from _counted(cache, path)
            take_away(path)


def _counted(cache: Cache, path: Path) -> Iterator[Removal]:
    yield Removal(kind=cache.kind, path=path, size=size_of(path), name=path.name)


def sweep_downloads(
    place: Path, *, named: Collection[str], keep_days: float, named_days: float = math.inf, dry_run: bool
) -> list[Removal]:
    """The same for downloads, ``<sha256>/<file>``: the file goes, its directory stays with the lock that somebody may
    wait for. Raises StoreError."""
    unnamed, with_name = _since(keep_days), _since(named_days)
    removals = []
    with disk_errors(place):
        for folder in _places(place):
            old = with_name if folder.name in named else unnamed
            for file in _downloaded(folder, old):
                with contextlib.nullcontext() if dry_run else file_lock(folder / DOWNLOAD_LOCK):
                    if _used(file) < old:
                        removals.append(Removal(kind="download", path=file, size=size_of(file), name=file.name))
                        if not dry_run:
                            file.unlink(missing_ok=True)
    return removals


def _downloaded(folder: Path, old: float) -> list[Path]:
    """The files in a download's directory that are older, cut-off parts included."""
    files = [folder / entry.name for entry in scan(folder) if entry.name != DOWNLOAD_LOCK]
    return [file for file in files if _used(file) < old]


def _places(folder: Path) -> Iterator[Path]:
    """Directories in a cache, and scratch of makers that are gone; no locks."""
    for entry in sorted(scan(folder), key=lambda e: e.name):
        if not entry.name.endswith(".lock") and owner_of_name(entry.name) is None:
            yield Path(entry.path)


def _since(days: float) -> float:
    """The moment since which nobody has used what may go after some days."""
    return time.time() - max(days, IN_USE_DAYS) * _DAY


def _used(path: Path) -> float:
    """When it was last of use; never old, if somebody has just taken it away."""
    try:
        return path.lstat().st_mtime
    except FileNotFoundError:
        return math.inf
