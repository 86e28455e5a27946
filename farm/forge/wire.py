"""Requests to a forge's API: patient where waiting helps, clear where it does not. The token is said to nobody."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx

from farm.errors import ForgeError, UsageError
from farm.forge import answer
from farm.forge.answer import Answer

_ATTEMPTS = 5
_REDIRECTS = 5
_MOST_PAGES = 500  # of a list: 50,000 pull requests
_MOST_WAIT = 900.0  # seconds; a longer wait is better done by whoever runs the farm
_SECONDARY_WAIT = 60.0
_TIMEOUT = httpx.Timeout(30.0, connect=10.0)
_LOCAL = ("127.0.0.1", "localhost", "::1")
_FIXES = {
    401: "the token is wrong or has expired",
    403: "the token lacks a permission: pull requests and contents must be writable",
    404: "the repository is called otherwise, or the token does not see it",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What came back: a good or a refusing answer, its JSON (None for an empty one), the address of the next page."""

    status: int
    data: Any
    next_page: str


class Wire:
    """One API with one token. `sleep` and `now` (seconds since 1970) are for tests."""

    def __init__(
        self,
        base: str,
        token: str,
        headers: Mapping[str, str],
        *,
        sleep: Callable[[float], None] = time.sleep,
        now: Callable[[], float] = time.time,
    ) -> None:
        """Raises UsageError for an address to which a token must not go."""
        parts = urlsplit(base)
        if parts.scheme != "https" and parts.hostname not in _LOCAL:
            raise UsageError(f"{base!r} is no https:// address of an API", where="FARM_FORGE_API", fix="use https://")
        self._base = base.rstrip("/")
        self._token = token
        self._sleep, self._now = sleep, now
        agent = {"User-Agent": "wheel-farm", "Authorization": f"Bearer {token}"}
        headers = {**headers, **agent}
        verify = parts.scheme == "https"  # else there is nothing to verify, and reading certificates takes a second
        self._client = httpx.Client(headers=headers, timeout=_TIMEOUT, follow_redirects=False, verify=verify)

    def close(self) -> None:
        """Give connections back."""
        self._client.close()

    def request(
        self,
        method: str,
        path: str,
        *,
        json: Mapping[str, Any] | None = None,
        params: Mapping[str, str | int] | None = None,
        accepted: tuple[int, ...] = (),
        once: bool = False,
    ) -> Reply:
        """One request, tried again while the forge is busy, down or limiting. `path` may be a whole address of the API.

        `once`: not again if the forge may have done it although it did not say so. Raises ForgeError for every answer
        that is neither good nor of a status in `accepted`.
        """
        url = path if path.startswith(self._base) else f"{self._base}{path}"
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                response = self._send(method, url, json, params)
            except httpx.RequestError as error:  # also for what it says that it packed, and did not
                why = f"does not answer: {self._clean(str(error) or type(error).__name__)}"
                wait = _backoff(attempt)
                is_done = not isinstance(error, httpx.ConnectError | httpx.ConnectTimeout)
            else:
                if response.is_good or response.status in accepted:
                    return self._reply(response, method, url)
                pause = self._pause(response, attempt)
                why = self._said(response)
                if pause is None:
                    raise self._refused(response, method, url, why)
                wait = pause
                is_done = response.status >= 500
            if attempt == _ATTEMPTS or wait > _MOST_WAIT or (once and is_done):
                break
            self._sleep(wait)
        limit = f" (it wants {wait:.0f} s of patience)" if wait > _MOST_WAIT else f" ({attempt} times)"
        raise ForgeError(f"{method} {url}: {why}{limit}", fix="run it again later: it goes on where it stopped")

    def pages(self, path: str, params: Mapping[str, str | int]) -> Iterator[Any]:
        """The items of a list, page after page (RFC 8288 links). Raises ForgeError."""
        reply = self.request("GET", path, params={**params, "per_page": 100})
        for _ in range(_MOST_PAGES):
            if not isinstance(reply.data, list):
                raise ForgeError(f"GET {path}: answered no list", fix="is FARM_FORGE_API the API of a forge?")
            yield from reply.data
            if not reply.next_page:
                return
            if not reply.next_page.startswith(f"{self._base}/"):
                raise ForgeError(
                    f"GET {path}: its next page is elsewhere: {reply.next_page}", fix="check FARM_FORGE_API"
                )
            reply = self.request("GET", reply.next_page)
        raise ForgeError(f"GET {path}: the list has more than {_MOST_PAGES} pages", fix="check FARM_FORGE_API")

    def _send(
        self, method: str, url: str, json: Mapping[str, Any] | None, params: Mapping[str, str | int] | None
    ) -> Answer:
        """Follows redirects with the same method, and only to the same server: others must not see the token."""
        for _ in range(_REDIRECTS):
            with self._client.stream(method, url, json=json, params=params) as response:
                if not response.has_redirect_location:
                    return answer.read(response)
            target = response.url.join(response.headers["location"])
            if (target.scheme, target.netloc) != (response.url.scheme, response.url.netloc):
                raise ForgeError(f"{method} {url}: leads to another server, {target.host}", fix="check FARM_FORGE_API")
            url, params = str(target), None
        raise ForgeError(f"{method} {url}: leads in a ring", fix="check FARM_FORGE_API")

    def _pause(self, response: Answer, attempt: int) -> float | None:
        """Seconds to wait before the next try, None if none would help (GitHub's rules for rate limits)."""
        if response.status >= 500:
            return _backoff(attempt)
        if response.status not in (403, 429):
            return None
        headers = response.headers
        if headers.get("retry-after", "").isdecimal():
            return float(headers["retry-after"])
        if headers.get("x-ratelimit-remaining") == "0" and headers.get("x-ratelimit-reset", "").isdecimal():
            return max(1.0, float(headers["x-ratelimit-reset"]) - self._now())
        if response.status == 429 or b"secondary rate limit" in response.body.lower():
            return _SECONDARY_WAIT * 2.0 ** (attempt - 1)
        return None

    def _reply(self, response: Answer, method: str, url: str) -> Reply:
        try:
            data = response.data()
        except ValueError as error:
            raise ForgeError(
                f"{method} {url}: answered no JSON", fix="is FARM_FORGE_API the address of a forge's API?"
            ) from error
        return Reply(status=response.status, data=data, next_page=response.next_page)

    def _refused(self, response: Answer, method: str, url: str, why: str) -> ForgeError:
        return ForgeError(f"{method} {url}: {why}", fix=_FIXES.get(response.status, "see what it says"))

    def _said(self, response: Answer) -> str:
        return self._clean(f"{response.status} {response.reason}: {message(_json(response))}".rstrip(": "))

    def _clean(self, text: str) -> str:
        return text.replace(self._token, "***") if self._token else text


def message(data: Any) -> str:
    """The words of a refusal: its message, and those of its errors."""
    if not isinstance(data, Mapping):
        return ""
    errors = data.get("errors")
    items = errors if isinstance(errors, list) else []
    said = [item.get("message") or item.get("code") if isinstance(item, Mapping) else item for item in items]
    return "; ".join(str(text)[:300] for text in (data.get("message"), *said) if text)


def _json(response: Answer) -> Any:
    try:
        return response.data()
    except ValueError:
        return None


def _backoff(attempt: int) -> float:
    """1, 2, 4, 8 seconds, and up to half as much more, so that many farms do not come back at once."""
    return float(2.0 ** (attempt - 1) * random.uniform(1.0, 1.5))  # noqa: S311 - no secret
