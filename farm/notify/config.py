"""Who is told of what: `notify.toml`. Secrets are not in it, only where they are."""

from __future__ import annotations

import fnmatch
import functools
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, ConfigDict, Field, ValidationError, model_validator

from farm.catalog.faults import from_validation
from farm.errors import CatalogError, NotifyError
from farm.model import toml
from farm.model.base import Frozen
from farm.model.happening import Kind
from farm.redact import hide

_REFERENCE = re.compile(r"env:[A-Za-z_][A-Za-z0-9_]*|file:.+")
_LOCAL = ("127.0.0.1", "localhost", "::1")
_MAX_BYTES = 256 << 10
_FIX = "docs/observing.md shows one; `farm notify test` tries it"


def _is_reference(text: str) -> str:
    if not _REFERENCE.fullmatch(text):
        raise ValueError("a secret is not written here: say where it is, env:VARIABLE or file:PATH")
    return text


def _is_address(text: str) -> str:
    if _REFERENCE.fullmatch(text):
        return text
    if why := address_fault(text):
        raise ValueError(why)
    parts = urlsplit(text)
    if parts.password or parts.username:
        raise ValueError("holds a password: put the whole address into env:VARIABLE or file:PATH")
    return text


def address_fault(text: str) -> str:
    """Why nothing is sent to an address, wherever that is written; empty if it is one."""
    try:
        parts = urlsplit(text)
    except ValueError:
        return "is no https:// address"
    if parts.scheme not in ("https", "http") or not parts.hostname:
        return "is no https:// address"
    if parts.scheme == "http" and parts.hostname not in _LOCAL:
        return "is http://, which anybody on the way reads: use https://"
    return ""


def _is_mailbox(text: str) -> str:
    local, at, domain = text.rpartition("@")
    if not at or not local or not domain or any(character.isspace() or character in "<>,;" for character in text):
        raise ValueError("is no mail address: name@example.org, without a display name")
    return text


def _is_pattern(text: str) -> str:
    if not any(fnmatch.fnmatchcase(kind, text) for kind in Kind):
        raise ValueError(f"matches no event; there are {', '.join(Kind)}")
    return text


Reference = Annotated[str, AfterValidator(_is_reference)]
Mailbox = Annotated[str, AfterValidator(_is_mailbox)]
Pattern = Annotated[str, AfterValidator(_is_pattern)]


class _Quiet(Frozen):
    """What is refused is not repeated: it may be a secret in the wrong place."""

    model_config = ConfigDict(hide_input_in_errors=True)


class _Target(_Quiet):
    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")
    events: tuple[Pattern, ...] = Field(default=("cascade.*", "gate.failed"), min_length=1)
    ca: str = Field(default="", description="certificates to trust beside the system's: a PEM file")

    def wants(self, kind: Kind) -> bool:
        """Whether it is to be told of this."""
        return any(fnmatch.fnmatchcase(kind, pattern) for pattern in self.events)


class Webhook(_Target):
    """A program that takes JSON by POST, signed as the Standard Webhooks specification says."""

    url: Annotated[str, AfterValidator(_is_address)]
    secret: Reference


class Email(_Target):
    """People, by a mail server. ``security``: ``starttls`` (587), ``tls`` (465) or ``none``, to this machine only."""

    server: str = Field(min_length=1, pattern=r"^[^\s/@]+$")
    port: int = Field(default=0, ge=0, le=65535, description="0: the usual one")
    security: Literal["starttls", "tls", "none"] = "starttls"
    user: str = ""
    password: Reference | None = None
    sender: Mailbox
    to: tuple[Mailbox, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _is_safe(self) -> Email:
        if self.security == "none" and self.server not in _LOCAL:
            raise ValueError('security = "none" is for a server on this machine: use "starttls" or "tls"')
        if bool(self.user) != bool(self.password):
            raise ValueError("user and password belong together")
        return self


class Config(_Quiet):
    """The file. `attempts`: how often a delivery is tried; pauses grow from a minute to four hours."""

    format: Literal[1]
    attempts: int = Field(default=14, ge=1, le=100)
    webhook: tuple[Webhook, ...] = ()
    email: tuple[Email, ...] = ()

    @model_validator(mode="after")
    def _names_once(self) -> Config:
        names = [target.name for target in (*self.webhook, *self.email)]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"{twice[0]!r} is the name of two targets")
        return self

    @property
    def targets(self) -> dict[str, Webhook | Email]:
        """All, by name."""
        found: dict[str, Webhook | Email] = {target.name: target for target in self.webhook}
        return found | {target.name: target for target in self.email}

    def wants(self, name: str, kind: Kind) -> bool:
        """Whether a target is to be told of this."""
        return self.targets[name].wants(kind)


def load(path: Path) -> Config:
    """Raises CatalogError with every fault, NotifyError if there is no such file."""
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise NotifyError("nobody is to be told: there is no such file", where=str(path), fix=_FIX) from error
    except OSError as error:
        raise CatalogError([f"{path}: cannot be read: {error.strerror}"]) from error
    return parse(data, str(path))


@functools.lru_cache(maxsize=8)
def parse(data: bytes, where: str) -> Config:
    """The configuration in a file's bytes. Raises CatalogError."""
    if len(data) > _MAX_BYTES:
        raise CatalogError([f"{where}: is larger than {_MAX_BYTES} bytes"], fix=_FIX)
    try:
        return Config.model_validate(toml.loads(data.decode()))
    except UnicodeDecodeError as error:
        raise CatalogError([f"{where}: is not UTF-8 text"], fix=_FIX) from error
    except toml.TomlError as error:
        raise CatalogError([f"{where}: is not TOML: {error}"[:300]], fix=_FIX) from error
    except ValidationError as error:
        raise CatalogError([str(fault) for fault in from_validation(where, Config, error)], fix=_FIX) from None


def reveal(reference: str, where: str, environ: Mapping[str, str] | None = None) -> str:
    """What a reference leads to; no log shows it from then on. Anything else is given back. Raises NotifyError."""
    if not _REFERENCE.fullmatch(reference):
        return reference
    kind, _, name = reference.partition(":")
    if kind == "env":
        value = (os.environ if environ is None else environ).get(name, "")
        fix = f"set the environment variable {name}"
    else:
        fix = f"put it into {name}, readable by the farm only"
        try:
            value = Path(name).expanduser().read_text(encoding="utf-8").strip()
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or "is no text"
            raise NotifyError(f"its secret cannot be read from {name}: {why}", where=where, fix=fix) from error
    if not value.strip():
        raise NotifyError(f"its secret is not there: {reference} is empty", where=where, fix=fix)
    hide(value)
    return value.strip()
