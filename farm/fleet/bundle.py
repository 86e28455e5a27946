"""Catalogs on their way to workers: one archive by its hash, in the shared store.

The archive is deterministic, so one catalog is one object, however many runs use it. A worker trusts it because its
hash is in the signed order.
"""

from __future__ import annotations

import contextlib
import os
import tarfile
from pathlib import Path

from farm.errors import FleetError
from farm.fetch import archives
from farm.settings import Settings
from farm.store.artifacts import Store
from farm.store.files import disk_errors, file_sha256, make_dirs, settle_dir
from farm.store.home import work_dir

_MODE = 0o644
_RUNS = 0o755


def pack(root: Path, store: Store, settings: Settings) -> str:
    """Put a frozen catalog (farm.store.frozen) into the store; its name there. Raises StoreError."""
    with disk_errors(settings.work), work_dir(settings.work, "bundle") as scratch:
        archive = scratch / "catalog.tar"
        with tarfile.open(archive, "w", format=tarfile.PAX_FORMAT) as stream:
            for path in sorted(root.rglob("*")):
                stream.add(path, path.relative_to(root).as_posix(), recursive=False, filter=_plain)
        digest = file_sha256(archive)
        if store.get(digest) is None:
            store.put(digest, archive)
    return digest


def place(digest: str, store: Store, settings: Settings) -> Path:
    """The root of an unpacked catalog, fetched from the store if it is not here. Raises FleetError, StoreError."""
    root = settings.fleet / "catalogs" / digest
    with contextlib.suppress(FileNotFoundError):
        os.utime(root)  # `farm gc` keeps what is in use
        return root
    artifact = store.get(digest)
    if artifact is None or artifact.sha256 != digest or not store.verify(artifact):
        raise FleetError(
            f"the catalog {digest[:12]} is not in this worker's store",
            where="job",
            fix="give the workers and whoever asks them the same store (FARM_STORE, docs/fleet.md)",
        )
    with disk_errors(settings.fleet), work_dir(settings.work, "catalog") as scratch:
        archives.unpack(store.path(artifact), scratch / "tree", strip=False)
        make_dirs(root.parent)
        settle_dir(scratch / "tree", root)
    return root


def _plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Nothing of this machine goes in: no owners, no times."""
    member.uid = member.gid = member.mtime = 0
    member.uname = member.gname = ""
    member.mode = _RUNS if member.isdir() or member.mode & 0o100 else _MODE
    return member
