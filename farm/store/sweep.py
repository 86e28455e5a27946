"""Garbage collection: what may go, and its removal. Safe while farms run.

A key is kept if the caller says so (a live generation, the current plan, a lease, the newest build of a slot), if a
running farm has pinned it, or if it is young. A blob goes when no key points at it.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from farm.model.artifact import Artifact
from farm.store import pins
from farm.store.files import disk_errors, scan
from farm.store.local import LocalStore
from farm.store.removal import Removal

_KEY = 64  # characters of a build key
_DAY = 86_400.0


def sweep_store(
    store: LocalStore,
    *,
    keep_keys: Collection[str],
    keep_sha256: Collection[str],
    keep_days: float,
    dry_run: bool,
    max_size: int | None = None,
) -> list[Removal]:
    """Remove artifacts that nothing keeps, then blobs without a pointer, then leftovers of dead processes.

    `keep_sha256` are hashes of files that live generations serve. What is younger than `keep_days` is kept, unless all
    that stays takes more than `max_size` bytes: then the oldest of it goes first. Raises StoreError.
    """
    if not store.root.is_dir():
        return []
    with disk_errors(store.root), store.locked():
        kept = set(keep_keys) | pins.pinned_keys(store)
        if not dry_run:
            pins.sweep(store)
        young = time.time() - keep_days * _DAY
        needed, spare = _needed(store, kept, keep_sha256)
        spare.sort(key=lambda row: (row[0], row[1].key))
        fresh = [row for row in spare if row[0] > young]
        if max_size is not None:
            fresh = _fitting(needed, fresh, max_size)
        doomed = [artifact for _, artifact in spare[: len(spare) - len(fresh)]]
        live = {store.path(artifact) for artifact in (*needed, *(artifact for _, artifact in fresh))}
        for artifact in doomed if not dry_run else ():
            store.pointer_path(artifact.key).unlink(missing_ok=True)
        removals = [_artifact(store, artifact, live) for artifact in doomed]
        removals += _sweep_blobs(store, live, keep_sha256, {r.path for r in removals}, dry_run=dry_run)
        removals += _sweep_leftovers(store.root, dry_run=dry_run)
    return removals


def _needed(
    store: LocalStore, keys: Collection[str], sha256: Collection[str]
) -> tuple[list[Artifact], list[tuple[float, Artifact]]]:
    """What is kept for what it is, and the rest with the time when it was stored."""
    needed, spare = [], []
    for key in list(store.keys()):
        artifact = store.get_unlocked(key)
        if artifact is None:
            continue  # damaged: `get` and `put` deal with it
        if key in keys or artifact.sha256 in sha256:
            needed.append(artifact)
        else:
            spare.append((store.pointer_path(key).stat().st_mtime, artifact))
    return needed, spare


def _fitting(
    needed: Collection[Artifact], fresh: Sequence[tuple[float, Artifact]], max_size: int
) -> list[tuple[float, Artifact]]:
    """The newest of what is fresh (oldest first), as much as there is room for beside what is needed."""
    counted = {artifact.sha256: artifact.size for artifact in needed}
    used, start = sum(counted.values()), len(fresh)
    for _, artifact in reversed(fresh):
        used += 0 if artifact.sha256 in counted else artifact.size
        counted[artifact.sha256] = artifact.size
        if used > max_size:
            break
        start -= 1
    return list(fresh[start:])


def sweep_named_by_key(
    folder: Path, kind: str, *, keep_keys: Collection[str], keep_days: float, dry_run: bool
) -> list[Removal]:
    """Remove files of a kind (``log``, ``abi``, ``imports``), which the name ends in, whose key nothing keeps and that
    were not written to for `keep_days`. A name begins with its key."""
    old = time.time() - keep_days * _DAY
    removals = []
    for entry in sorted(scan(folder), key=lambda e: e.name):
        info = entry.stat(follow_symlinks=False)
        if entry.name.endswith(f".{kind}") and entry.name[:_KEY] not in keep_keys and info.st_mtime < old:
            removals.append(Removal(kind=kind, path=Path(entry.path), size=info.st_size, name=entry.name))
    for removal in removals if not dry_run else ():
        removal.path.unlink(missing_ok=True)
    return removals


def _artifact(store: LocalStore, artifact: Artifact, live: Collection[Path]) -> Removal:
    path = store.path(artifact)
    size = 0 if path in live else artifact.size  # another key has the same content: nothing is freed
    return Removal(kind="artifact", path=path, size=size, name=artifact.filename, key=artifact.key)


def _sweep_blobs(
    store: LocalStore, live: Collection[Path], keep_sha256: Collection[str], counted: Collection[Path], *, dry_run: bool
) -> Iterator[Removal]:
    """Blobs that no key points at; those of artifacts that were just removed are counted there already."""
    for path in list((store.root / "blobs").glob("??/*/*")):
        if path in live or path.parent.name in keep_sha256:
            continue
        if path not in counted:
            yield Removal(kind="blob", path=path, size=path.stat().st_size, name=path.name)
        if not dry_run:
            path.unlink(missing_ok=True)
            _remove_if_empty(path.parent)
            _remove_if_empty(path.parent.parent)


def _sweep_leftovers(root: Path, *, dry_run: bool) -> Iterator[Removal]:
    """Temporary files of processes that were killed in the middle of `put`."""
    for path in [*(root / "tmp").glob("*"), *(root / "keys").glob("??/.*")]:
        with contextlib.suppress(FileNotFoundError):  # a writer that lives has just taken it away
            size = path.stat().st_size
            if not pins.is_alive(path):
                if not dry_run:
                    path.unlink()
                yield Removal(kind="work", path=path, size=size, name=path.name)


def _remove_if_empty(folder: Path) -> None:
    try:
        folder.rmdir()
    except OSError:
        return
