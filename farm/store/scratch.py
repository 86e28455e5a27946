"""Scratch space, and what is kept only so that it is not made twice: what of it may go. No ledger is asked, so this
works, and makes room, where the disk is too full for the ledger's database."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path

from farm.store.files import disk_errors, scan, try_lock
from farm.store.home import remove_tree, stale_work
from farm.store.owner import owner_of_name
from farm.store.removal import Removal, size_of, take_away

_DAY = 86_400.0


def sweep_dead(places: Iterable[Path], *, dry_run: bool) -> list[Removal]:
    """Remove temporary files and directories, in any of these directories, of processes that are known to be dead.
    Raises StoreError."""
    removals: list[Removal] = []
    for place in places:
        with disk_errors(place):
            for path in sorted(stale_work(place)):
                removals.append(Removal(kind="work", path=path, size=size_of(path), name=path.name))
                if not dry_run:
                    remove_tree(path)  # not renamed first, which a full disk may refuse: nobody looks for its name
    return removals


def sweep_work(work: Path, *, keep_days: float, dry_run: bool) -> list[Removal]:
    """Remove scratch space: of dead processes at once; workspaces that are kept for `farm shell`, and unpacked sources,
    after `keep_days`.

    `NAME` is in use while somebody holds the lock on `NAME.lock` (farm.build.workspace, farm.build.sources).
    """
    old = time.time() - keep_days * _DAY
    removals = sweep_dead([work], dry_run=dry_run)
    for entry in sorted(scan(work), key=lambda e: e.name):
        path = Path(entry.path)
        if owner_of_name(path.name) is not None or path.suffix == ".lock":
            continue
        with try_lock(path.with_name(path.name + ".lock")) as free:
            if free and _mtime(path) < old:
                removals.append(Removal(kind="work", path=path, size=size_of(path), name=path.name))
                if not dry_run:
                    take_away(path)
    return removals


def _mtime(path: Path) -> float:
    """When it was last of use; now, if somebody has just taken it away."""
    try:
        return path.lstat().st_mtime
    except FileNotFoundError:
        return time.time()
