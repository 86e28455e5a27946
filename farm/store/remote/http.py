"""A store that a web server hands out: read only, nothing is listed, no credentials are sent (docs/stores.md)."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, NoReturn

from farm import extras
from farm.errors import MissingToolError, StoreError, UnavailableError
from farm.store.files import write_some
from farm.store.remote.address import Address
from farm.store.remote.protocol import Entry

_CHUNK = 1 << 20
_MOST = 1 << 20  # bytes of a record
_CONNECTIONS = 32
_MISSING = (404, 410)


class HttpRemote:
    """A Remote of static files."""

    writable = False

    def __init__(self, address: Address) -> None:
        self.id = f"{address.scheme}://{address.host}/{address.path}".rstrip("/")
        self._insecure = address.scheme == "http"
        self._lock = threading.Lock()
        self._made: tuple[int, Any] | None = None  # connections must not be shared with a parent process

    def read(self, name: str) -> bytes | None:
        """See Remote."""
        with self._asking("GET", name) as reply:
            return None if reply is None else self._small(reply, name)

    def download(self, name: str, target: Path, *, most: int) -> bool:
        """See Remote."""
        with self._asking("GET", name) as reply:
            if reply is None:
                return False
            write_some(reply.iter_bytes(_CHUNK), target, most)
            return True

    def look(self, name: str) -> Entry | None:
        """See Remote."""
        with self._asking("HEAD", name) as reply:
            if reply is None:
                return None
            length = reply.headers.get("content-length", "")
            size = int(length) if length.isdecimal() else 0
            return Entry(name=name, size=size, modified=_moment(reply.headers.get("last-modified", "")))

    def _small(self, reply: Any, name: str) -> bytes:
        """All of a reply that is a record: who serves it decides how much comes, not what we keep of it."""
        data = bytearray()
        for chunk in reply.iter_bytes(_CHUNK):
            data += chunk
            if len(data) > _MOST:
                raise StoreError(
                    f"{name}: is larger than any record of a store", where=self.id, fix="tell its operator"
                )
        return bytes(data)

    def _refuse(self, *_given: object, **_named: object) -> NoReturn:
        """What only a writable store can do."""
        raise StoreError("a store over HTTP is read only", where=self.id, fix="set FARM_STORE to a directory or s3://")

    create = write = upload = entries = remove = leftovers = remove_leftover = _refuse

    @contextlib.contextmanager
    def _asking(self, method: str, name: str) -> Iterator[Any]:
        """The reply to a request, None if there is no such file."""
        client, httpx = self._connected()
        try:
            with client.stream(method, f"{self.id}/{name}") as reply:
                if not self._insecure and any(step.url.scheme != "https" for step in (*reply.history, reply)):
                    raise StoreError(f"{name}: leads to a plain connection", where=self.id, fix="tell its operator")
                if reply.status_code in _MISSING:
                    yield None
                else:
                    self._require_good(reply.status_code, name)
                    yield reply
        except httpx.TransportError as error:
            why = str(error) or type(error).__name__
            raise UnavailableError(f"{name}: {why}", where=self.id, fix="is the server up?") from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise StoreError(f"{name}: {error}", where=self.id, fix="check FARM_STORE") from error

    def _require_good(self, status: int, name: str) -> None:
        if status == 429 or status >= 500:
            raise UnavailableError(f"{name}: the server says {status}", where=self.id, fix="run it again later")
        if status in (401, 403):
            raise StoreError(
                f"{name}: the server does not let everybody read it ({status})",
                where=self.id,
                fix="a store over HTTP is read without credentials: let it be read, or use s3://",
            )
        if status != 200:
            raise StoreError(f"{name}: the server says {status}", where=self.id, fix="check FARM_STORE")

    def _connected(self) -> tuple[Any, Any]:
        try:
            import httpx
        except ImportError as error:
            raise MissingToolError("httpx is not installed", where=self.id, fix=extras.install("http")) from error
        with self._lock:
            if self._made is None or self._made[0] != os.getpid():
                limits = httpx.Limits(max_connections=_CONNECTIONS)
                timeout = httpx.Timeout(60.0, connect=10.0)
                agent = {"User-Agent": "wheel-farm"}
                verify = not self._insecure  # else reading certificates takes a second for nothing
                client = httpx.Client(
                    limits=limits, timeout=timeout, headers=agent, follow_redirects=True, verify=verify
                )
                self._made = (os.getpid(), client)
            return self._made[1], httpx


def _moment(stamp: str) -> float:
    """Seconds since 1970 of a date as HTTP writes it; 0 for a server that says none."""
    try:
        return parsedate_to_datetime(stamp).timestamp()
    except (ValueError, TypeError, OverflowError):
        return 0.0
