"""Work that a fleet of machines hands around, as the ledger keeps it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class JobState(StrEnum):
    """How far a job is. QUEUED: a worker may take it. RUNNING: one has it, under the lease of its key. DONE and FAILED:
    a worker says what it came to. CANCELLED: nobody wants it any more."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewJob:
    """One thing to do for a run. `run` names who asked; `key` is what is leased while somebody does it, `what` the step
    or task for people; `queue` says what a worker must be able to do; of two jobs the one of more `urgency` (seconds of
    the longest chain behind it) is handed out first. `payload` is the signed order (farm.fleet.order), `signature`
    over its bytes in base64, `signer` the fingerprint of the key."""

    run: str
    key: str
    what: str
    queue: str
    payload: str
    signature: str
    signer: str
    urgency: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A job that was taken; `attempts` counts how often it was handed out, this time included."""

    id: int
    run: str
    key: str
    what: str
    queue: str
    payload: str
    signature: str
    signer: str
    attempts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class JobEnd:
    """What a job came to. `outcome` is a JSON object: what its kind of job says (farm.fleet)."""

    id: int
    key: str
    what: str
    state: JobState
    outcome: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueDepth:
    """How many jobs of a queue wait and run; `oldest` is for how many seconds the oldest of the waiting ones does."""

    queue: str
    queued: int
    running: int
    oldest: float = 0.0
