"""FARM_STORE: where machines share what they build.

``/srv/farm-store``, ``s3://bucket/prefix?endpoint=https://...&region=...``, ``https://host/path`` (read only).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from farm.errors import UsageError
from farm.store.remote.protocol import Remote

_LOCAL = ("127.0.0.1", "localhost", "::1")
_WHERE = "environment"


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """A parsed FARM_STORE. `options` are what follows the question mark; `host` has the port."""

    scheme: str
    host: str
    path: str
    options: Mapping[str, str] = field(default_factory=dict)

    @property
    def readonly(self) -> bool:
        """Whether nothing may be written there, whatever the credentials allow."""
        return self.options.get("readonly") == "yes"

    @property
    def insecure(self) -> bool:
        """Whether the user accepts a connection that anybody on the way can change."""
        return self.options.get("insecure") == "yes"


def parse(text: str) -> Address:
    """Read a FARM_STORE. Raises UsageError, which never repeats what may be a secret."""
    if "://" not in text:
        path = Path(text).expanduser()
        if not path.is_absolute():
            raise _wrong("is neither an absolute path nor a URL that begins with s3:// or https://", shown=text)
        return Address(scheme="", host="", path=str(path))
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port
        if parts.username is not None or parts.password is not None or "@" in parts.netloc:
            raise _wrong("holds credentials", "take them out of it: docs/stores.md says where each kind looks for them")
        options = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query)))
    except ValueError as error:
        raise _wrong("is no URL") from error
    if not host or parts.fragment:
        raise _wrong("is no address of a store")
    kind = _KINDS.get(parts.scheme)
    if kind is None:
        raise _wrong(
            f"begins with {parts.scheme}://", " or ".join(["use an absolute path", *(f"{k}://" for k in _KINDS)])
        )
    if unknown := sorted(set(options) - kind.options):
        allowed = ", ".join(sorted(kind.options))
        raise _wrong(f"has an option {unknown[0]!r}, which this kind of store does not know", f"known are: {allowed}")
    name = f"{host}:{port}" if port else host
    address = Address(scheme=parts.scheme, host=name, path=parts.path.strip("/"), options=options)
    if parts.scheme == "http":
        require_secure(address, text.partition("?")[0])
    return address


def require_secure(address: Address, url: str) -> None:
    """Refuse a plain connection to another machine: who sits between could hand out wheels of their own."""
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and not parts.query
    except ValueError:
        good = False
    if not good:
        raise _wrong("names no server", "endpoint=https://host is how an S3 service is named")
    if "@" in parts.netloc:
        raise _wrong("holds credentials", "take them out of it: docs/stores.md says where each kind looks for them")
    if parts.scheme != "https" and parts.hostname not in _LOCAL and not address.insecure:
        raise _wrong(
            f"uses a plain connection to {parts.hostname}: anybody on the way could hand out other wheels",
            "use https://, or add insecure=yes to its options inside a network that you trust",
        )


def connect(text: str) -> Remote:
    """The shared place of a FARM_STORE, patient with what passes. Asks no server.

    Raises UsageError, MissingToolError.
    """
    from farm.store.remote.patient import Patient

    address = parse(text)
    opener = _directory if not address.scheme else _KINDS[address.scheme].opener
    return Patient(opener(address), readonly=address.readonly)


def _directory(address: Address) -> Remote:
    from farm.store.remote.directory import DirectoryRemote

    return DirectoryRemote(Path(address.path))


def _s3(address: Address) -> Remote:
    from farm.store.remote.s3 import S3Remote

    return S3Remote(address)


def _http(address: Address) -> Remote:
    from farm.store.remote.http import HttpRemote

    return HttpRemote(address)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kind:
    opener: Callable[[Address], Remote]
    options: frozenset[str] = frozenset({"insecure"})


_KINDS = {
    "s3": _Kind(opener=_s3, options=frozenset({"endpoint", "region", "insecure", "readonly"})),
    "https": _Kind(opener=_http),
    "http": _Kind(opener=_http),
}


def _wrong(what: str, fix: str = "see docs/stores.md", *, shown: str = "") -> UsageError:
    return UsageError(f"FARM_STORE {what}{f': {shown!r}' if shown else ''}", where=_WHERE, fix=fix)
