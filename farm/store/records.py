"""What the ledger hands out. No SQLAlchemy here, so that these types can be named anywhere."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from farm.model.events import State
from farm.model.outcome import Outcome
from farm.model.plan import KeyInput
from farm.store.owner import Owner


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownStep:
    """A step that was planned once, as the ledger remembers it."""

    key: str
    id: str
    slot: str
    recipe: str
    version: str
    platform: str
    kind: str
    python: str | None
    first_seen: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltStep:
    """A step that was built: when, and from which inputs."""

    step: KnownStep
    built: datetime
    filename: str
    sha256: str
    size: int
    inputs: tuple[KeyInput, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One try to build a step. `finished` is None while it runs; times are UTC, `seconds` are wall time."""

    id: int
    key: str
    state: State
    started: datetime
    finished: datetime | None
    phase: str
    error: str
    log: str
    seconds: float
    cpu_seconds: float
    host: str
    pid: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What was found out about an artifact after it was built. `kind` is ``audit``, ``smoke`` or ``upstream``."""

    key: str
    kind: str
    outcome: Outcome
    reason: str = ""
    details: dict[str, Any] = field(default_factory=dict)
    at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """The right to build a key. `token` grows with every change of hands, so a late holder can be told from a new one.

    `ttl` is in seconds: without a heartbeat for that long, others may take over.
    """

    key: str
    owner: Owner
    token: int
    ttl: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """Who has the lease of a key now. `expired` is judged by the database's clock; `late` says for how long it has been
    so, in seconds (negative: so much is left)."""

    key: str
    owner: Owner
    token: int
    beats: int
    expired: bool
    late: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ReboundBy:
    """A cascade that rebound a wheel: the key that the wheel is stored under, and why it needed no build."""

    cascade: int
    key: str
    why: str
