"""The store: wheels by content, found by build key.

``blobs/<aa>/<sha256>/<filename>`` holds content, ``keys/<aa>/<key>.json`` points at it. A blob is complete and on disk
before its pointer appears, so whoever sees a pointer sees a whole wheel, whatever was killed and when (docs/state.md).
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

from farm.errors import StoreError
from farm.model.artifact import Artifact
from farm.store.files import (
    copy_new,
    disk_errors,
    file_lock,
    file_sha256,
    fsync_dir,
    make_dirs,
    temporary_name,
    write_atomic,
    write_new,
)

_log = logging.getLogger(__name__)
_KEY = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflict:
    """Two builds of one key gave different bytes: the build is not reproducible. `kept` is what the store serves."""

    key: str
    kept: Artifact
    other_filename: str
    other_sha256: str

    def __str__(self) -> str:
        return (
            f"build key {self.key[:12]} gave two different wheels: {self.kept.filename} "
            f"(sha256 {self.kept.sha256[:12]}, kept) and {self.other_filename} "
            f"(sha256 {self.other_sha256[:12]}, dropped)"
        )


class Store:
    """Artifacts in a directory, safe for many threads and processes at once.

    `on_conflict` is told when a key that is stored is put again with other bytes. The first wheel stays: others may
    have been built, tested or published against it already, and one key must never mean two things. It is a finding
    about reproducibility, not a failure of the build at hand, so `put` does not raise.
    """

    def __init__(self, root: Path, *, on_conflict: Callable[[Conflict], None] | None = None) -> None:
        self.root = root
        self._on_conflict = on_conflict or (lambda conflict: _log.warning("not reproducible: %s", conflict))
        self._ready = False

    def get(self, key: str) -> Artifact | None:
        """The artifact of a build key, or None. Cheap: reads the pointer and the size, not the content."""
        artifact = self.get_unlocked(key)
        if artifact is None:
            return None
        if self._fault(artifact, deep=False):
            self._drop(artifact, deep=False)
            return None
        return artifact

    def path(self, artifact: Artifact) -> Path:
        """Where the wheel is; read-only. Its content is checked by `verify` or `open` only."""
        return self.root / "blobs" / artifact.sha256[:2] / artifact.sha256 / artifact.filename

    def verify(self, artifact: Artifact) -> bool:
        """True if the content has its hash. Else it is dropped, with a warning: the step counts as not built."""
        if not self._fault(artifact, deep=True):
            return True
        self._drop(artifact, deep=True)
        return False

    def open(self, artifact: Artifact) -> BinaryIO:
        """The content, checked by its hash first. Raises StoreError if it is damaged or missing."""
        if not self.verify(artifact):
            raise StoreError(
                f"{artifact.filename} is damaged or missing", where=str(self.root), fix="build it again: `farm build`"
            )
        with disk_errors(self.root):
            return self.path(artifact).open("rb")

    def put(self, key: str, wheel: Path) -> Artifact:
        """Store a wheel under its build key, durably, and return what the key now means.

        Putting the same content again changes nothing. Other content: see `on_conflict`; the first is returned.
        Raises StoreError if the disk is full or the wheel unreadable; then nothing half-written is left.
        """
        if not _KEY.fullmatch(key):
            raise StoreError(f"{key!r} is not a build key (64 hex digits)", where=str(self.root))
        with disk_errors(self.root):
            self._layout()
            temporary = self.root / "tmp" / temporary_name(wheel.name)
            try:
                sha256, size = copy_new(wheel, temporary)
                artifact = Artifact(key=key, filename=wheel.name, sha256=sha256, size=size)
                with self.locked():
                    kept = self._publish(artifact, temporary)
            finally:
                temporary.unlink(missing_ok=True)
        if (kept.sha256, kept.filename) != (sha256, artifact.filename):
            self._on_conflict(
                Conflict(key=key, kept=kept, other_filename=artifact.filename, other_sha256=artifact.sha256)
            )
        return kept

    def keys(self) -> Iterator[str]:
        """All keys that have a pointer, in no order."""
        for folder in scan(self.root / "keys"):
            for entry in scan(Path(folder.path)):
                if entry.name.endswith(".json") and not entry.name.startswith("."):
                    yield entry.name[:-5]

    @contextlib.contextmanager
    def pinned(self, keys: Iterable[str]) -> Iterator[None]:
        """Keep these keys from `farm gc` while this process lives and the block runs."""
        with disk_errors(self.root):
            self._layout()
            pin = self.root / "pins" / temporary_name("run")
            with self.locked():
                write_new(pin, "\n".join(keys).encode(), mode=0o644)
        try:
            yield
        finally:
            pin.unlink(missing_ok=True)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Nobody else adds or removes artifacts inside this block. Short: fsyncs and renames only."""
        with file_lock(self.root / ".lock"):
            yield

    def get_unlocked(self, key: str) -> Artifact | None:
        """What the pointer says, whether the content is there or not; drops nothing.

        A damaged pointer reads as None; the next `put` replaces it.
        """
        try:
            with open(self.pointer_path(key), "rb") as stream:  # noqa: PTH123 - hot: once per step of a plan
                value = json.loads(stream.read())
            artifact = Artifact(
                key=value["key"], filename=value["filename"], sha256=value["sha256"], size=int(value["size"])
            )
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            _log.warning("store: the pointer of %s is damaged (%s); it counts as not built", key[:12], error)
            return None
        return artifact if artifact.key == key and _is_plain(artifact) else None

    def pointer_path(self, key: str) -> Path:
        """The file that says what a key means."""
        return self.root / "keys" / key[:2] / f"{key}.json"

    def _layout(self) -> None:
        if not self._ready:
            for name in ("blobs", "keys", "tmp", "pins"):
                make_dirs(self.root / name)
            self._ready = True

    def _publish(self, artifact: Artifact, temporary: Path) -> Artifact:
        """Under the lock: the blob to its place, then the pointer, unless the key has a whole artifact already."""
        first = self.get_unlocked(artifact.key)
        if first is not None and not self._fault(first, deep=True):
            return first
        place = self.path(artifact)
        if _sha256(place) != artifact.sha256:
            make_dirs(place.parent)
            temporary.replace(place)
            fsync_dir(place.parent)
        pointer = self.pointer_path(artifact.key)
        make_dirs(pointer.parent)
        write_atomic(pointer, json.dumps(asdict(artifact)).encode(), mode=0o444)
        return artifact

    def _fault(self, artifact: Artifact, *, deep: bool) -> str:
        """What is wrong with the content of an artifact; empty if nothing. `deep` reads it all."""
        place = self.path(artifact)
        try:
            size = os.stat(place).st_size  # noqa: PTH116 - hot, as above
        except OSError as error:
            return f"its content is missing ({error.strerror})"
        if size != artifact.size:
            return f"its content has {size} bytes instead of {artifact.size}"
        if deep and (actual := _sha256(place)) != artifact.sha256:
            return f"its content is damaged (sha256 {actual[:12] or 'unreadable'} instead of {artifact.sha256[:12]})"
        return ""

    def _drop(self, artifact: Artifact, *, deep: bool) -> None:
        """Forget a damaged artifact, unless it was mended meanwhile. A store that is read-only here stays as it is."""
        with contextlib.suppress(OSError), self.locked():
            fault = self._fault(artifact, deep=deep)
            if not fault or self.get_unlocked(artifact.key) != artifact:
                return
            _log.warning("store: %s (%s): %s; it counts as not built", artifact.filename, artifact.key[:12], fault)
            self.pointer_path(artifact.key).unlink(missing_ok=True)
            self.path(artifact).unlink(missing_ok=True)


def _is_plain(artifact: Artifact) -> bool:
    """A pointer must not lead out of the store."""
    return (
        bool(_KEY.fullmatch(artifact.sha256))
        and "/" not in artifact.filename
        and artifact.filename[:1] not in ("", ".")
    )


def scan(folder: Path) -> list[os.DirEntry[str]]:
    """What a directory holds; nothing if it does not exist."""
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except (FileNotFoundError, NotADirectoryError):
        return []


def _sha256(path: Path) -> str:
    """The hash of a file's content; empty if it cannot be read."""
    try:
        return file_sha256(path)
    except OSError:
        return ""
