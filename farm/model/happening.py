"""What somebody may want to be told of: it is written down in the moment it happens, and told later."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any


class Kind(StrEnum):
    """What happened.

    To a cascade: STARTED. FAILED: the first of its tasks was refused, others go on. WAITING: it goes on when a person
    has mended, fenced or abandoned something. STAGED: it waits for `promote`. PROMOTED, ROLLED_BACK, ABANDONED. FENCED:
    recipes were left out. To a wheel: GATE: a gate refused it; TEST: its tests failed.
    """

    STARTED = "cascade.started"
    FAILED = "cascade.failed"
    WAITING = "cascade.waiting"
    STAGED = "cascade.staged"
    PROMOTED = "cascade.promoted"
    ROLLED_BACK = "cascade.rolled-back"
    FENCED = "cascade.fenced"
    ABANDONED = "cascade.abandoned"
    GATE = "gate.failed"
    TEST = "test.failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Happening:
    """One thing that happened. `uid` is unique in all farms; `cascade` is its number or None, `key` that of the step or
    empty; `text` says why, `details` are for programs."""

    id: int
    uid: str
    kind: Kind
    cascade: int | None
    key: str
    text: str
    details: Mapping[str, Any]
    at: datetime


class DeliveryState(StrEnum):
    """How far telling somebody is. WAITING: it is (still) to be sent. SENT: it was taken. GIVEN_UP: refused, or tried
    too often."""

    WAITING = "waiting"
    SENT = "sent"
    GIVEN_UP = "given up"


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """A happening on its way to a target. `next_try` is in seconds from now, negative if it is due; `body` is what is
    sent, the same at every try, None before the first."""

    happening: Happening
    target: str
    state: DeliveryState
    attempts: int
    next_try: float
    error: str
    body: Mapping[str, Any] | None
    sent: datetime | None
