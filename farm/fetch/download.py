"""Fetch one file by address and hash into the per-user cache: resumable, verified, safe for farms side by side."""

from __future__ import annotations

import contextlib
import http.client
import os
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, TypeGuard
from urllib.parse import urlsplit

from farm.errors import SourceError
from farm.fetch.limit import LIMIT, Limit, TooLargeError
from farm.store.caches import DOWNLOAD_LOCK
from farm.store.files import file_lock, file_sha256, is_full, mark_used, store_error, try_lock

_SILENCE_SECONDS = 8.0
_ATTEMPTS = 3
_BLOCK = 1 << 18

Progress = Callable[[str, int, int | None], None]
"""Called with the file's name, the bytes so far and the whole size (None where the server does not say)."""


class CannotReachError(Exception):
    """An address does not answer now; the message says why. Never leaves `farm.build`."""


class Hosts:
    """Hosts that did not answer in this run, so that each costs its silence only once."""

    def __init__(self) -> None:
        self._dead: dict[str, str] = {}

    def why_dead(self, url: str) -> str:
        """Why the host of this URL is not asked again; empty if it may be."""
        return self._dead.get(urlsplit(url).netloc, "")

    def bury(self, url: str, why: str) -> None:
        """The host of this URL did not answer: it is not asked again."""
        host = urlsplit(url).netloc
        if host:  # a file: address has none, and another file may well be there
            self._dead[host] = why


HOSTS = Hosts()


def cached(downloads: Path, sha256: str) -> Path | None:
    """The file of this hash, if it is in the cache; it is marked as used. While somebody else fetches or removes it, it
    is not there."""
    folder = downloads / sha256
    with try_lock(folder / DOWNLOAD_LOCK, shared=True) as free:
        return _marked(folder) if free else None


def _marked(folder: Path) -> Path | None:
    found = next((f for f in sorted(folder.iterdir()) if not f.name.startswith(".")), None) if folder.is_dir() else None
    if found is not None:
        mark_used(found)
    return found


def fetch(
    url: str,
    sha256: str,
    filename: str,
    downloads: Path,
    *,
    limit: Limit = LIMIT,
    progress: Progress | None = None,
    hosts: Hosts = HOSTS,
) -> Path:
    """Bring the file at `url` to ``downloads/<sha256>/<filename>`` and return that path.

    Raises CannotReachError if the address does not answer or the connection keeps breaking, SourceError if what it
    gives has another hash, TooLargeError if it is larger than the limit. A second farm that wants the same file waits
    for the first.
    """
    folder = downloads / sha256
    folder.mkdir(parents=True, exist_ok=True)
    with file_lock(folder / DOWNLOAD_LOCK):
        done = _marked(folder)
        if done is not None:
            return done
        part = folder / f".{filename}.part"
        try:
            _transfer(url, part, filename, limit, progress, hosts)
        except TooLargeError:
            part.unlink(missing_ok=True)
            raise
        actual = file_sha256(part)
        if actual != sha256:
            part.unlink()
            raise SourceError(
                f"{filename} from {url} has the wrong hash:\n  expected {sha256}\n  got      {actual}",
                fix="find out which is right before you change the recipe: the file may have been tampered with",
            )
        target = folder / filename
        part.replace(target)
        return target


def fetch_new(
    url: str,
    filename: str,
    downloads: Path,
    *,
    limit: Limit = LIMIT,
    progress: Progress | None = None,
    hosts: Hosts = HOSTS,
) -> tuple[Path, str]:
    """Bring a file whose hash nobody knows yet (for a new recipe) into the cache; its path there and its sha256.

    Raises CannotReachError if the address does not answer, SourceError if it has no such file, TooLargeError.
    """
    downloads.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".new-", dir=downloads) as folder:
        part = Path(folder) / filename
        _transfer(url, part, filename, limit, progress, hosts)
        sha256 = file_sha256(part)
        target = downloads / sha256 / filename
        target.parent.mkdir(parents=True, exist_ok=True)
        part.replace(target)
    return target, sha256


def _transfer(url: str, part: Path, filename: str, limit: Limit, progress: Progress | None, hosts: Hosts) -> None:
    why = hosts.why_dead(url)
    if why:
        raise CannotReachError(f"{why} (asked before)")
    for attempt in range(1, _ATTEMPTS + 1):
        before = part.stat().st_size if part.exists() else 0
        try:
            _continue(url, part, filename, limit, progress)
            return
        except _CutShortError as error:
            if attempt == _ATTEMPTS:
                raise CannotReachError(str(error)) from error
        except urllib.error.HTTPError as error:
            _judge_status(error, part)
        except (OSError, http.client.HTTPException) as error:
            if _is_of_the_cache(error):
                raise store_error(error, part.parent) from error
            if not part.exists() or part.stat().st_size == before:  # nothing came at all
                why = str(getattr(error, "reason", "") or error or type(error).__name__)
                hosts.bury(url, why)
                raise CannotReachError(why) from error
            if attempt == _ATTEMPTS:
                raise CannotReachError(f"the connection broke {attempt} times: {error}") from error
        time.sleep(0.2 * attempt)
    raise CannotReachError("it says again and again that what it was asked for is past the file's end")


def _is_of_the_cache(error: Exception) -> TypeGuard[OSError]:
    """Whether the disk refused and not the net: a network's errors name no file, or come wrapped in URLError."""
    if isinstance(error, urllib.error.URLError) or not isinstance(error, OSError):
        return False
    return is_full(error) or error.filename is not None


class _CutShortError(Exception):
    """The server closed the connection before the announced size."""


def _judge_status(error: urllib.error.HTTPError, part: Path) -> None:
    """416: our part is as long as the file or longer: begin again. Else: it cannot be had here."""
    error.close()
    if error.code == 401:
        raise CannotReachError(
            f"HTTP 401 {error.reason}: it wants a password, and pip keeps those of its indexes to itself"
        ) from error
    if error.code != 416:
        raise CannotReachError(f"HTTP {error.code} {error.reason}") from error
    part.unlink(missing_ok=True)


def _continue(url: str, part: Path, filename: str, limit: Limit, progress: Progress | None) -> None:
    """One request; goes on where the part ends, if the server can (RFC 9110, section 14)."""
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"User-Agent": "wheel-farm", "Accept-Encoding": "identity"})  # noqa: S310 - schemes are checked in locations
    if have:
        request.add_header("Range", f"bytes={have}-")
    with urllib.request.urlopen(request, timeout=_SILENCE_SECONDS) as answer:  # noqa: S310
        resumed = getattr(answer, "status", None) == 206
        have = have if resumed else 0
        length = answer.headers.get("Content-Length")
        total = have + int(length) if length and length.isdecimal() else None
        limit.check(url, total or 0)

        def report(size: int) -> None:
            limit.check(url, size)
            if progress:
                progress(filename, size, total)

        with part.open("ab" if resumed else "wb") as out:
            size = _pour(answer, out, have, report)
            out.flush()
            with contextlib.suppress(OSError):
                os.fsync(out.fileno())
    if total is not None and size < total:
        raise _CutShortError(f"the download was cut short: {size} of {total} bytes")


def _pour(answer: IO[bytes] | Any, out: IO[bytes], have: int, report: Callable[[int], object]) -> int:
    while True:
        try:
            block = answer.read(_BLOCK)
        except http.client.IncompleteRead as error:
            out.write(error.partial)
            raise _CutShortError(f"the download was cut short after {have + len(error.partial)} bytes") from error
        if not block:
            return have
        have += len(block)
        report(have)
        out.write(block)
