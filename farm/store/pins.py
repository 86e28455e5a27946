"""Pins: files in `store/pins/` that name the keys a running farm needs, and the process that runs.

They keep keys from `farm gc`. A pin whose process is dead says that a run ended without a word: its wheels may be in
the store while the ledger has not heard of them.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator
from pathlib import Path

from farm.store.local import LocalStore
from farm.store.owner import owner_of_name

_ABANDONED = 7 * 86_400.0  # seconds: temporary files and pins of other machines; no build takes that long


def any_run(store: LocalStore) -> bool:
    """True if a farm runs here, or was killed here and nobody settled what it left. One directory is read."""
    return next(_files(store), None) is not None


def pinned_keys(store: LocalStore) -> set[str]:
    """Keys that running farms need."""
    return {key for pin in _files(store) if is_alive(pin) for key in _keys(pin)}


def settle(store: LocalStore, keys: Collection[str]) -> None:
    """Forget dead runs that needed nothing but `keys`, which the caller has brought into the ledger."""
    for pin in _files(store):
        if not is_alive(pin) and _keys(pin) <= set(keys):
            pin.unlink(missing_ok=True)


def sweep(store: LocalStore) -> None:
    """Forget all dead runs."""
    for pin in _files(store):
        if not is_alive(pin):
            pin.unlink(missing_ok=True)


def is_alive(path: Path) -> bool:
    """True if the process that a file or directory is named after may still need it."""
    owner = owner_of_name(path.name)
    try:
        young = path.lstat().st_mtime > time.time() - _ABANDONED
    except OSError:
        return False
    return young if owner is None else not owner.is_surely_dead() and (young or owner.is_here())


def _files(store: LocalStore) -> Iterator[Path]:
    return (store.root / "pins").glob("run.*")


def _keys(pin: Path) -> set[str]:
    try:
        return set(pin.read_text(encoding="ascii", errors="replace").split())
    except FileNotFoundError:  # its run has just ended
        return set()
