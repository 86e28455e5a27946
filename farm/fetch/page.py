"""Reads one page of the web as text, for what is said on it."""

from __future__ import annotations

import http.client
import time
import urllib.error
import urllib.request
from urllib.parse import urlsplit

from farm.fetch.download import CannotReachError

MOST = 16 << 20  # bytes: the largest page of a package index is a tenth of this
_SILENCE_SECONDS = 15.0
_PATIENCE_SECONDS = 120.0
_BLOCK = 1 << 16


def read(url: str, *, accept: str = "*/*") -> str:
    """The text at an address. A page that comes in drops or without end is no page.

    Raises CannotReachError, saying why.
    """
    try:
        request = urllib.request.Request(url, headers={"User-Agent": "wheel-farm", "Accept": accept})  # noqa: S310 - who writes addresses checks their schemes
        with urllib.request.urlopen(request, timeout=_SILENCE_SECONDS) as answer:  # noqa: S310
            if urlsplit(answer.url).scheme not in (urlsplit(url).scheme, "https"):
                raise CannotReachError(f"leads to {answer.url}, which is less safe")
            charset = answer.headers.get_content_charset() or "utf-8"
            return _text(_all(answer), charset)
    except urllib.error.HTTPError as error:
        error.close()
        raise CannotReachError(f"HTTP {error.code} {error.reason}") from error
    except (OSError, http.client.HTTPException, ValueError) as error:  # ValueError: an address that is none
        raise CannotReachError(str(getattr(error, "reason", "") or error or type(error).__name__)) from error


def _all(answer: http.client.HTTPResponse) -> bytes:
    until = time.monotonic() + _PATIENCE_SECONDS
    parts: list[bytes] = []
    size = 0
    while block := answer.read1(_BLOCK):  # `read` would wait until so much has come, drop by drop
        parts.append(block)
        size += len(block)
        if size > MOST:
            raise CannotReachError(f"is larger than {MOST} bytes")
        if time.monotonic() > until:
            raise CannotReachError(f"takes longer than {_PATIENCE_SECONDS:.0f} s")
    if answer.length:  # what `read1` was still to give: half a page names half of the releases
        raise CannotReachError(f"was cut short: {answer.length} bytes are missing")
    return b"".join(parts)


def _text(data: bytes, charset: str) -> str:
    try:
        return data.decode(charset, "replace")
    except LookupError:
        return data.decode("utf-8", "replace")
