"""A store on this machine: wheels by content, found by build key.

``blobs/<aa>/<sha256>/<filename>`` holds content, ``keys/<aa>/<key>.json`` points at it. A blob is complete and on disk
before its pointer appears, so whoever sees a pointer sees a whole wheel, whatever was killed and when (docs/state.md).
"""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from farm.errors import StoreError
from farm.model.artifact import Artifact
from farm.store import pointers
from farm.store.files import (
    copy_new,
    disk_errors,
    file_lock,
    file_sha256,
    fsync_dir,
    make_dirs,
    scan,
    temporary_name,
    write_atomic,
    write_new,
)
from farm.store.pointers import Conflict, Pointer
from farm.store.remote import layout

_log = logging.getLogger(__name__)


class LocalStore:
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
        pointers.require_key(key, str(self.root))
        with disk_errors(self.root):
            self.prepare()
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

    def name(self, key: str, artifact: Artifact) -> Artifact:
        """Let one more key mean a stored wheel, unless it means one; returns what it means now. Raises StoreError."""
        pointers.require_key(key, str(self.root))
        with disk_errors(self.root), self.locked():
            first = self.get_unlocked(key)
            if first is not None and not self._fault(first, deep=False):
                return first
            if fault := self._fault(artifact, deep=False):
                raise StoreError(f"{artifact.filename}: {fault}", where=str(self.root), fix="build it again")
            self._point(named := replace(artifact, key=key))
            return named

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
            self.prepare()
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
        pointer = self.pointer(key)
        return None if pointer is None else pointer.artifact

    def pointer(self, key: str) -> Pointer | None:
        """As `get_unlocked`, with the shared store that has it too."""
        try:
            with open(self.pointer_path(key), "rb") as stream:  # noqa: PTH123 - hot: once per step of a plan
                return pointers.decode(key, stream.read())
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, ValueError) as error:
            _log.warning("store: the pointer of %s is damaged (%s); it counts as not built", key[:12], error)
            return None

    def mark_shared(self, artifact: Artifact, shared: str) -> None:
        """Remember that a shared store has an artifact. A store that is read-only here forgets it."""
        with contextlib.suppress(OSError), self.locked():
            if self.get_unlocked(artifact.key) == artifact:
                self._point(artifact, shared)

    def take(self, artifact: Artifact, content: Path, shared: str) -> None:
        """Let a key mean what a shared store says. `content` is a file in `tmp/` that was checked; it is moved, and
        replaces other content that the key had here."""
        with disk_errors(self.root), self.locked():
            self._settle(artifact, content)
            self._point(artifact, shared)

    def farm_id(self) -> str:
        """A random name of this farm, made once. Raises StoreError."""
        place = self.root / "farm-id"
        with disk_errors(self.root):
            self.prepare()
            with self.locked():
                if not place.exists():
                    write_atomic(place, secrets.token_hex(8).encode())
            return place.read_text(encoding="ascii", errors="replace")

    def pointer_path(self, key: str) -> Path:
        """The file that says what a key means."""
        return self.root / "keys" / key[:2] / f"{key}.json"

    def prepare(self) -> None:
        """Make the directories of a store that is new. Raises OSError."""
        if not self._ready:
            for name in ("blobs", "keys", "tmp", "pins"):
                make_dirs(self.root / name)
            marker = self.root / layout.MARKER  # so that a web server may hand this store out
            if not marker.exists():
                write_atomic(marker, layout.marker())
            self._ready = True

    def _publish(self, artifact: Artifact, temporary: Path) -> Artifact:
        """Under the lock: the blob to its place, then the pointer, unless the key has a whole artifact already."""
        first = self.get_unlocked(artifact.key)
        if first is not None and not self._fault(first, deep=True):
            return first
        self._settle(artifact, temporary)
        self._point(artifact)
        return artifact

    def _settle(self, artifact: Artifact, content: Path) -> None:
        place = self.path(artifact)
        if _sha256(place) != artifact.sha256:
            make_dirs(place.parent)
            content.replace(place)
            fsync_dir(place.parent)

    def _point(self, artifact: Artifact, shared: str = "") -> None:
        pointer = self.pointer_path(artifact.key)
        make_dirs(pointer.parent)
        write_atomic(pointer, pointers.encode(artifact, shared=shared), mode=0o444)

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


def _sha256(path: Path) -> str:
    """The hash of a file's content; empty if it cannot be read."""
    try:
        return file_sha256(path)
    except OSError:
        return ""
