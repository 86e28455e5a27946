"""Frozen catalogs: copies of `recipes/` and `toolchains/` below FARM_HOME, named by their content.

A cascade that runs for days goes on with the recipes that it was planned from, whatever happens to the repository.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from farm.errors import StoreError
from farm.settings import Settings
from farm.store.files import copy_new, disk_errors, file_sha256, fsync_dir, make_dirs, settle_dir
from farm.store.home import remove_tree, work_dir

_BEING_STARTED = 3600.0  # seconds: so young a catalog may be of a cascade that nobody has written down yet
_PARTS = ("recipes", "toolchains")


@dataclass(frozen=True, slots=True, kw_only=True)
class Merge:
    """`digest` of the merged catalog; `conflicts` are files that both sides changed, each in its own way: with any,
    there is no merged catalog."""

    digest: str
    conflicts: tuple[str, ...] = ()


def folder(settings: Settings) -> Path:
    """Where frozen catalogs are."""
    return settings.home / "cascades"


def place(settings: Settings, digest: str) -> Path:
    """The root of a frozen catalog. Raises StoreError if it is not there any more."""
    root = folder(settings) / digest
    if not root.is_dir():
        raise StoreError(
            "the catalog that the cascade was planned from is gone",
            where=str(root),
            fix="`farm cascade abandon` it and start again from today's catalog; what is built is kept",
        )
    return root


def whole(settings: Settings, digest: str) -> Path:
    """The root of a frozen catalog that is as it was frozen: a file that is gone or was edited would change what is
    built and, if it is a pinned ABI, what is let through. Raises StoreError."""
    root = place(settings, digest)
    with disk_errors(root):
        total = hashlib.sha256()
        for name in sorted(files(root)):
            total.update(_line(name, file_sha256(root / name), os.access(root / name, os.X_OK)))
    if total.hexdigest() != digest:
        raise StoreError(
            "the catalog that a cascade was planned from is not as it was frozen: it is damaged, or was edited",
            where=str(root),
            fix="remove this directory, and if the cascade has not ended `farm cascade abandon` it and start again; "
            "what is built is kept",
        )
    return root


def freeze(settings: Settings, root: Path) -> str:
    """Copy a catalog and return its digest; the same content is kept once. Raises StoreError."""
    return _keep(settings, {name: root / name for name in files(root)})


def merge(settings: Settings, *, before: str, ours: str, theirs: str) -> Merge:
    """What `ours` changed since `before`, done to `theirs`. Raises StoreError."""
    roots = {digest: whole(settings, digest) for digest in (before, ours, theirs)}
    old, mine, other = ({name: roots[d] / name for name in files(roots[d])} for d in (before, ours, theirs))
    merged, conflicts = dict(other), []
    for name in sorted(old.keys() | mine.keys()):
        was, is_, there = (_digest(side.get(name)) for side in (old, mine, other))
        if is_ in (was, there):
            continue
        if there != was:
            conflicts.append(name)
        elif name in mine:
            merged[name] = mine[name]
        else:
            merged.pop(name, None)
    if conflicts:
        return Merge(digest="", conflicts=tuple(conflicts))
    return Merge(digest=_keep(settings, merged))


def sweep(settings: Settings, keep: frozenset[str], *, keep_days: float, dry_run: bool) -> Iterator[Path]:
    """Remove the frozen catalogs that are not in `keep` and older than `keep_days`; gives what went."""
    root, old = folder(settings), time.time() - max(keep_days * 86_400, _BEING_STARTED)
    for path in sorted(root.iterdir()) if root.is_dir() else ():
        if path.name not in keep and path.stat().st_mtime < old:
            yield path
            if not dry_run:
                remove_tree(path)


def _keep(settings: Settings, files: Mapping[str, Path]) -> str:
    """Copy, named after what was copied, so that a file which changes meanwhile is no lie."""
    with disk_errors(settings.home), work_dir(settings.work, "freeze") as scratch:
        tree = scratch / "catalog"
        total = hashlib.sha256()
        for name in sorted(files):
            target = tree / name
            target.parent.mkdir(parents=True, exist_ok=True)
            content = copy_new(files[name], target)[0]
            runs = os.access(files[name], os.X_OK)
            if runs:
                target.chmod(0o555)
            total.update(_line(name, content, runs))
        digest = total.hexdigest()
        for part in _PARTS:  # an empty part is part of a catalog, too
            (tree / part).mkdir(parents=True, exist_ok=True)
        make_dirs(folder(settings))
        final = folder(settings) / digest
        if not final.is_dir():
            for directory in (tree, *(p for p in tree.rglob("*") if p.is_dir())):
                fsync_dir(directory)
            settle_dir(tree, final)
            fsync_dir(final.parent)
        os.utime(final)
    return digest


def files(root: Path) -> Iterator[str]:
    """Regular files of a catalog, relative to its root; names that begin with a dot are not part of it."""
    for part in _PARTS:
        for path in sorted((root / part).rglob("*")):
            relative = path.relative_to(root)
            if path.is_file() and not any(name.startswith(".") or name == "__pycache__" for name in relative.parts):
                yield relative.as_posix()


def _line(name: str, content: str, runs: bool) -> bytes:
    """What a file adds to the digest of its catalog."""
    return f"{name}\0{content}\0{runs:d}\n".encode()


def _digest(path: Path | None) -> str:
    return file_sha256(path) if path else ""
