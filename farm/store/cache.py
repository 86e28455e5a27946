"""The local store as a cache of bounded size.

What a shared store has, too, goes when room is needed, least recently used first. What only this machine has is never
removed by this, nor what a running farm here has pinned.
"""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections import defaultdict
from collections.abc import Collection
from typing import TYPE_CHECKING

from farm.errors import StoreError
from farm.model.artifact import Artifact
from farm.store import pins
from farm.store.files import disk_errors
from farm.store.local import LocalStore
from farm.store.remote import layout

if TYPE_CHECKING:
    from farm.store.shared import Shared

_log = logging.getLogger(__name__)
_USED_STEP = 60.0  # seconds; uses closer to each other are not told apart


def note_use(store: LocalStore, key: str) -> None:
    """Remember that a wheel was used just now: in the time stamp of its pointer."""
    with contextlib.suppress(OSError):
        place = store.pointer_path(key)
        if place.stat().st_mtime < time.time() - _USED_STEP:
            os.utime(place)


def trim(store: LocalStore, shared: Shared, limit: int) -> int:
    """Bring the store's wheels down to `limit` bytes, if that can be; gives the bytes that were freed.

    Each wheel is looked for in the shared store before it goes. Raises StoreError, UnavailableError.
    """
    with disk_errors(store.root):
        sizes: dict[str, int] = {}
        keys_of: dict[str, set[str]] = defaultdict(set)
        rows: list[tuple[float, Artifact]] = []
        for key in list(store.keys()):
            pointer = store.pointer(key)
            if pointer is None:
                continue
            sizes[pointer.artifact.sha256] = pointer.artifact.size
            keys_of[pointer.artifact.sha256].add(key)
            if pointer.shared == shared.id:
                with contextlib.suppress(FileNotFoundError):
                    rows.append((store.pointer_path(key).stat().st_mtime, pointer.artifact))
        total, freed, gone = sum(sizes.values()), 0, []
        if total <= limit:
            return 0
        pinned = pins.pinned_keys(store)
        for _, artifact in sorted(rows, key=lambda row: (row[0], row[1].key)):
            if total - freed <= limit:
                break
            if artifact.key not in pinned and _is_there(shared, artifact) and _forget(store, artifact):
                gone.append(artifact)
                keys_of[artifact.sha256].discard(artifact.key)
                freed += 0 if keys_of[artifact.sha256] else artifact.size
        return _free(store, gone)


def _is_there(shared: Shared, artifact: Artifact) -> bool:
    if shared.find(artifact.key) != artifact:
        return False
    found = shared.remote.look(layout.blob(artifact.sha256, artifact.filename))
    return found is not None and found.size == artifact.size


def _forget(store: LocalStore, artifact: Artifact) -> bool:
    """Let a key mean nothing here any more. False if it is needed now, or means something else."""
    with store.locked():
        if artifact.key in pins.pinned_keys(store) or store.get_unlocked(artifact.key) != artifact:
            return False
        store.pointer_path(artifact.key).unlink(missing_ok=True)
    return True


def _free(store: LocalStore, gone: Collection[Artifact]) -> int:
    """Remove the content of keys that are forgotten, unless another key has it by now; gives its bytes."""
    if not gone:
        return 0
    freed = 0
    with store.locked():
        used = {artifact.sha256 for key in list(store.keys()) if (artifact := store.get_unlocked(key))}
        for sha256, artifact in {artifact.sha256: artifact for artifact in gone}.items():
            if sha256 not in used:
                store.path(artifact).unlink(missing_ok=True)
                freed += artifact.size
    return freed


class Limit:
    """Trims a store now and then, as it grows. Nothing fails for it. `size` in bytes, 0 for no limit."""

    def __init__(self, store: LocalStore, shared: Shared | None, size: int) -> None:
        self._store = store
        self._shared = shared
        self._size = size
        self._grown = size  # the first wheel of a process is a reason to look

    def used(self, key: str) -> None:
        """A wheel was asked for."""
        if self._size:
            note_use(self._store, key)

    def grew(self, size: int) -> None:
        """A wheel came."""
        self._grown += size
        if not self._size or self._shared is None or self._grown <= self._size // 20:
            return
        self._grown = 0
        try:
            if freed := trim(self._store, self._shared, self._size):
                _log.info("%d bytes of wheels that %s has were removed here", freed, self._shared.id)
        except StoreError as error:
            _log.info("the local store was not trimmed: %s", error)
