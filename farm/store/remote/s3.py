"""A bucket of any service that speaks S3, through boto3 (docs/decisions/013-shared-stores.md says why).

An object is put in one request, so nobody sees half of one and nothing is left behind by a kill. The service checks the
content against its sha256 where it knows how to; what it does not check the reader does.
"""

from __future__ import annotations

import base64
import contextlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from farm import extras
from farm.errors import MissingToolError, StoreError
from farm.store.files import disk_errors, write_some
from farm.store.remote.address import Address, require_secure
from farm.store.remote.protocol import Entry
from farm.store.remote.s3_errors import code_of, not_there, translated

_CHUNK = 1 << 20
_MOST = 5 * 2**30  # bytes of one object in one request, a limit of the protocol
_CONNECTIONS = 32


class S3Remote:
    """A Remote in a bucket, below a prefix. Credentials are those that boto3 finds; they are never said."""

    writable = True

    def __init__(self, address: Address) -> None:
        """Asks no server. Raises UsageError for an endpoint that is not secure."""
        self._bucket = address.host
        self._prefix = f"{address.path}/" if address.path else ""
        self._endpoint = address.options.get("endpoint")
        self._region = address.options.get("region")
        if self._endpoint:
            require_secure(address, self._endpoint)
        self.id = f"s3://{self._bucket}/{address.path}" + (f"?endpoint={self._endpoint}" if self._endpoint else "")
        self._lock = threading.Lock()
        self._made: tuple[int, Any] | None = None  # connections must not be shared with a parent process

    def read(self, name: str) -> bytes | None:
        """See Remote."""
        with self._asking("reading", name):
            body = self._get(name)
            return None if body is None else bytes(body.read())

    def download(self, name: str, target: Path, *, most: int) -> bool:
        """See Remote."""
        with self._asking("reading", name):
            body = self._get(name)
            if body is None:
                return False
            write_some(body.iter_chunks(_CHUNK), target, most)
            return True

    def look(self, name: str) -> Entry | None:
        """See Remote."""
        with self._asking("looking at", name):
            try:
                found = self._client.head_object(Bucket=self._bucket, Key=self._prefix + name)
            except Exception as error:
                if not_there(error):
                    return None
                raise
            return Entry(name=name, size=found["ContentLength"], modified=found["LastModified"].timestamp())

    def create(self, name: str, data: bytes) -> bool:
        """See Remote."""
        with self._asking("creating", name):
            try:
                self._put(name, data, IfNoneMatch="*")
            except Exception as error:
                if code_of(error) in ("PreconditionFailed", "412"):
                    return False
                raise
            return True

    def write(self, name: str, data: bytes) -> None:
        """See Remote."""
        with self._asking("writing", name):
            self._put(name, data)

    def upload(self, name: str, source: Path, sha256: str) -> None:
        """See Remote."""
        with disk_errors(source):
            stream = source.open("rb")
            size = source.stat().st_size
        if size > _MOST:
            stream.close()
            raise StoreError(f"has {size} bytes, more than S3 takes at once ({_MOST})", where=str(source))
        checksum = base64.b64encode(bytes.fromhex(sha256)).decode()
        with stream, self._asking("writing", name):
            self._put(name, stream, ContentLength=size, ChecksumSHA256=checksum)

    def entries(self, prefix: str) -> Iterator[Entry]:
        """See Remote."""
        with self._asking("listing", prefix):
            pages = self._client.get_paginator("list_objects_v2")
            for page in pages.paginate(Bucket=self._bucket, Prefix=self._prefix + prefix):
                for found in page.get("Contents", ()):
                    name = found["Key"].removeprefix(self._prefix)
                    yield Entry(name=name, size=found["Size"], modified=found["LastModified"].timestamp())

    def remove(self, name: str) -> None:
        """See Remote."""
        with self._asking("removing", name):
            self._client.delete_object(Bucket=self._bucket, Key=self._prefix + name)

    def leftovers(self, older_than: float) -> Iterator[Entry]:
        """Nothing: an object comes in one request."""
        del older_than
        return iter(())

    def remove_leftover(self, entry: Entry) -> None:
        """See Remote."""

    def _get(self, name: str) -> Any:
        """The body of an object, to be read; None if it does not exist."""
        try:
            return self._client.get_object(Bucket=self._bucket, Key=self._prefix + name)["Body"]
        except Exception as error:
            if not_there(error):
                return None
            raise

    def _put(self, name: str, body: Any, **more: Any) -> None:
        self._client.put_object(Bucket=self._bucket, Key=self._prefix + name, Body=body, **more)

    @contextlib.contextmanager
    def _asking(self, doing: str, name: str) -> Iterator[None]:
        """Turn what boto3 raises into the farm's errors."""
        try:
            yield
        except Exception as error:
            known = translated(error, f"{doing} {name}", self.id)
            if known is None:
                raise
            raise known from None  # botocore's own text may hold an access key

    @property
    def _client(self) -> Any:
        with self._lock:
            if self._made is None or self._made[0] != os.getpid():
                self._made = (os.getpid(), self._connect())
            return self._made[1]

    def _connect(self) -> Any:
        try:
            import boto3
            from botocore.config import Config
        except ImportError as error:
            raise MissingToolError("boto3 is not installed", where=self.id, fix=extras.install("s3")) from error
        config = Config(
            retries={"total_max_attempts": 1, "mode": "standard"},  # Patient waits, for every kind of store alike
            connect_timeout=10,
            read_timeout=60,
            max_pool_connections=_CONNECTIONS,
            request_checksum_calculation="when_required",  # trailers are refused by many services that are not AWS
            response_checksum_validation="when_required",
            s3={"addressing_style": "path" if self._endpoint else "auto"},
        )
        verify = None if urlsplit(self._endpoint or "https://").scheme == "https" else False
        session = boto3.session.Session()
        return session.client("s3", endpoint_url=self._endpoint, region_name=self._region, config=config, verify=verify)
