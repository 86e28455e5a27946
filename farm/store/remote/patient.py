"""Trying again what passes: a server that restarts, throttles or drops a connection."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from farm.errors import UnavailableError
from farm.store.remote.protocol import Entry, Remote

_log = logging.getLogger(__name__)
T = TypeVar("T")
PAUSES = (
    0.3,
    0.6,
    1.2,
    2.4,
    4.8,
)  # seconds before each further try; jittered, so that machines do not come back at once


class Patient:
    """A Remote that tries again after each UnavailableError, with growing pauses, before it raises it."""

    def __init__(
        self,
        inner: Remote,
        *,
        readonly: bool = False,
        pauses: tuple[float, ...] = PAUSES,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._readonly = readonly
        self._inner = inner
        self._pauses = pauses
        self._sleep = sleep

    @property
    def id(self) -> str:
        """See Remote."""
        return self._inner.id

    @property
    def writable(self) -> bool:
        """See Remote."""
        return self._inner.writable and not self._readonly

    def read(self, name: str) -> bytes | None:
        """See Remote."""
        return self._try(lambda: self._inner.read(name))

    def download(self, name: str, target: Path, *, most: int) -> bool:
        """See Remote."""
        return self._try(lambda: self._inner.download(name, target, most=most))

    def look(self, name: str) -> Entry | None:
        """See Remote."""
        return self._try(lambda: self._inner.look(name))

    def create(self, name: str, data: bytes) -> bool:
        """See Remote. A try whose answer was lost may have made it: then the next one says False, as for any other
        writer, and the object holds `data`."""
        return self._try(lambda: self._inner.create(name, data))

    def write(self, name: str, data: bytes) -> None:
        """See Remote."""
        self._try(lambda: self._inner.write(name, data))

    def upload(self, name: str, source: Path, sha256: str) -> None:
        """See Remote."""
        self._try(lambda: self._inner.upload(name, source, sha256))

    def entries(self, prefix: str) -> Iterator[Entry]:
        """See Remote. A listing that breaks off begins anew: nothing is given twice."""
        return iter(self._try(lambda: list(self._inner.entries(prefix))))

    def remove(self, name: str) -> None:
        """See Remote."""
        self._try(lambda: self._inner.remove(name))

    def leftovers(self, older_than: float) -> Iterator[Entry]:
        """See Remote."""
        return iter(self._try(lambda: list(self._inner.leftovers(older_than))))

    def remove_leftover(self, entry: Entry) -> None:
        """See Remote."""
        self._try(lambda: self._inner.remove_leftover(entry))

    def _try(self, call: Callable[[], T]) -> T:
        for pause in self._pauses:
            try:
                return call()
            except UnavailableError as error:
                wait = pause * random.uniform(0.5, 1.5)  # noqa: S311 - no secret depends on it
                _log.info("%s; trying again in %.1f s", error.what, wait)
                self._sleep(wait)
        return call()
