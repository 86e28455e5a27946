"""One answer of a forge, read whole: bounded in size and in time, because anybody may answer at an address."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import httpx

from farm.errors import ForgeError
from farm.model import json_text

MOST = 16 << 20  # bytes, unpacked: a page of a hundred pull requests is a tenth of this
PATIENCE_SECONDS = 120.0
_FIX = "is FARM_FORGE_API the address of a forge's API?"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back. `body` is unpacked; `next_page` is the address of a list's next page, or empty."""

    status: int
    reason: str
    headers: httpx.Headers
    body: bytes
    next_page: str

    @property
    def is_good(self) -> bool:
        """Whether it did what was asked for."""
        return 200 <= self.status < 300

    def data(self) -> Any:
        """Its JSON, None if it is empty. Raises ValueError."""
        return json_text.loads(self.body) if self.body else None


def read(response: httpx.Response) -> Answer:
    """Read a streamed response to its end. Raises ForgeError for one that is too large or comes in drops, and what
    httpx raises for a connection that breaks."""
    until = time.monotonic() + PATIENCE_SECONDS
    where = f"{response.request.method} {response.request.url}"
    parts: list[bytes] = []
    size = 0
    for part in response.iter_bytes():
        parts.append(part)
        size += len(part)
        if size > MOST:
            raise ForgeError(f"{where}: answers with more than {MOST} bytes", fix=_FIX)
        if time.monotonic() > until:
            raise ForgeError(f"{where}: takes longer than {PATIENCE_SECONDS:.0f} s to answer", fix=_FIX)
    return Answer(
        status=response.status_code,
        reason=response.reason_phrase,
        headers=response.headers,
        body=b"".join(parts),
        next_page=response.links.get("next", {}).get("url", ""),
    )
