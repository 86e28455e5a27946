"""What a shared store means, on any kind of Remote: keys, wheels by hash, blobs, logs.

Content goes up first, under its hash; the small record that gives it a meaning goes last and is made only once. So
whoever sees a record sees whole content, whichever machine was killed and when. What is read is checked by size and
sha256: what is damaged is never handed out.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable
from pathlib import Path

from farm.errors import StoreError, UnavailableError
from farm.model import json_text
from farm.model.artifact import Artifact
from farm.store import pointers
from farm.store.files import disk_errors, file_sha256
from farm.store.guard import Guard
from farm.store.remote import layout
from farm.store.remote.protocol import Remote

_log = logging.getLogger(__name__)
_THREADS = 16  # requests at once when many keys are looked up
_LISTED = 2_000  # from so many keys on, one listing costs less than a request each
_TRIES = 3


class DamagedError(StoreError):
    """What a shared store holds is not what its record says: cut, changed, missing."""


class Shared:
    """A shared store. Safe for threads. All methods raise UnavailableError and StoreError as Remote does."""

    def __init__(self, remote: Remote) -> None:
        self.remote = remote
        self.guard = Guard(remote)
        self._checked = self._claimed = False

    @property
    def id(self) -> str:
        """Names the store, without secrets."""
        return self.remote.id

    @property
    def writable(self) -> bool:
        """False for stores that are only read."""
        return self.remote.writable

    def find(self, key: str) -> Artifact | None:
        """What a key means, without its content. A damaged record reads as None, with a warning."""
        self._check()
        data = self.remote.read(layout.record(key))
        if data is None:
            return None
        try:
            return pointers.decode(key, data).artifact
        except ValueError as error:
            _log.warning("%s: the record of %s is damaged (%s); it counts as not built", self.id, key[:12], error)
            return None

    def find_all(self, keys: Iterable[str]) -> dict[str, Artifact]:
        """What keys mean, those that mean something."""
        wanted = list(keys)
        if len(wanted) > _LISTED and self.writable:
            there = {layout.key_of(entry.name) for entry in self.remote.entries(layout.KEYS)}
            wanted = [key for key in wanted if key in there]
        if len(wanted) < 2:
            found = [self.find(key) for key in wanted]
        else:
            from concurrent.futures import ThreadPoolExecutor

            with ThreadPoolExecutor(min(_THREADS, len(wanted)), thread_name_prefix="farm-store") as pool:
                found = list(pool.map(self.find, wanted))
        return {artifact.key: artifact for artifact in found if artifact is not None}

    def fetch(self, name: str, sha256: str, target: Path, *, size: int) -> None:
        """Bring content into a file, checked and durable. Raises DamagedError; then `target` holds nothing of use."""
        self._check()
        fault = ""
        for _ in range(2):  # what a broken line did is not there the second time
            if not self.remote.download(name, target, most=size):
                raise DamagedError(f"{name} is missing", where=self.id)
            with disk_errors(target):
                actual, count = file_sha256(target), target.stat().st_size
                if actual == sha256 and size == count:
                    _seal(target)
                    return
            cut = f"{count} bytes instead of {size}, " if size > count else ""
            more = f"more than the {size} bytes of its record, " if size < count else ""
            fault = f"{name} is damaged: {cut}{more}sha256 {actual[:12]} instead of {sha256[:12]}"
        raise DamagedError(fault, where=self.id)

    def fetch_artifact(self, artifact: Artifact, target: Path) -> None:
        """Bring a wheel's content into a file. Raises DamagedError."""
        name = layout.blob(artifact.sha256, artifact.filename)
        self.fetch(name, artifact.sha256, target, size=artifact.size)

    def publish(self, artifact: Artifact, content: Path) -> Artifact:
        """Give a key its meaning, unless it has one; returns what it means now. `content` was checked by its hash."""
        self.claim()
        record, blob = layout.record(artifact.key), layout.blob(artifact.sha256, artifact.filename)
        with self.guard.publishing((record, blob)) as is_marked:
            return self._publish(artifact, content, record, blob, refresh=is_marked)

    def _publish(self, artifact: Artifact, content: Path, record: str, blob: str, *, refresh: bool) -> Artifact:
        for _ in range(_TRIES):
            self.send(blob, content, artifact.sha256, anew=refresh)
            if self.remote.create(record, pointers.encode(artifact)):
                return artifact
            first = self.find(artifact.key)
            if first is not None and refresh:
                self.remote.write(record, pointers.encode(first))  # it is young again: its mark does not count
            if first is not None:
                return first
            self.remote.remove(record)  # damaged, or removed just now
        raise UnavailableError(f"the record of {artifact.key[:12]} changes all the time", where=self.id)

    def send(self, name: str, content: Path, sha256: str, *, anew: bool = False) -> None:
        """Bring content up, unless it is there and need not be young (`anew`)."""
        self.claim()
        there = self.remote.look(name)
        with disk_errors(content):
            size = content.stat().st_size
        if anew or there is None or there.size != size:
            self.remote.upload(name, content, sha256)

    def drop(self, artifact: Artifact) -> None:
        """Forget an artifact whose content is damaged, unless it was mended meanwhile. The next build mends it."""
        if self.writable and self.find(artifact.key) == artifact:
            self.remote.remove(layout.record(artifact.key))
            self.remote.remove(layout.blob(artifact.sha256, artifact.filename))

    def claim(self) -> None:
        """Before the first write: is this a store of this format, and does it keep what publishing once needs?"""
        if self._claimed:
            return
        if not self.writable:
            raise StoreError("this store is only read", where=self.id, fix="set FARM_STORE to one that is writable")
        marker = layout.marker()
        if self.remote.create(layout.MARKER, marker) and self.remote.create(layout.MARKER, marker):
            raise StoreError(
                "this service ignores `If-None-Match: *` when objects are written, so that two machines could publish "
                "two wheels under one key",
                where=self.id,
                fix="use a service with conditional writes (docs/stores.md lists what is known)",
            )
        self._check()
        self._claimed = True

    def _check(self) -> None:
        if self._checked:
            return
        data = self.remote.read(layout.MARKER)
        if data is None and not self.writable:
            raise StoreError(
                f"no farm's store is served here: there is no {layout.MARKER}", where=self.id, fix="check FARM_STORE"
            )
        if data is not None:
            self._check_format(data)
        self._checked = True

    def _check_format(self, data: bytes) -> None:
        try:
            found = json_text.loads(data)["format"]
        except (ValueError, KeyError, TypeError) as error:
            raise StoreError(
                f"{layout.MARKER} is damaged: {error}",
                where=self.id,
                fix="is FARM_STORE the address of a farm's store?",
            ) from error
        if found != layout.FORMAT:
            raise StoreError(
                f"has format {found}, this farm knows {layout.FORMAT}", where=self.id, fix="use the farm that made it"
            )


def _seal(path: Path) -> None:
    """Make a finished file durable and read-only."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fchmod(handle, 0o444)
        os.fsync(handle)
    finally:
        os.close(handle)
