"""One coordinated change of a channel, as the ledger keeps it: the cascade, its tasks, its fences."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from farm.model import channels
from farm.model.plan import Step
from farm.model.rework import Task, Verb


class CascadeKind(StrEnum):
    """What began it."""

    BUMP = "bump"
    TOOLCHAIN = "toolchain"
    SECURITY = "security"
    SCHEDULE = "schedule"


class CascadeState(StrEnum):
    """How far a cascade is.

    PLANNED: nothing was done yet. BUILDING: wheels are to be made. TESTING: only tests are left, or the check of what
    will be offered. STAGED: a hidden generation holds everything and has passed. PROMOTED: the channel serves it.
    BLOCKED: something failed that somebody must mend or fence. ABANDONED: given up.
    """

    PLANNED = "planned"
    BUILDING = "building"
    TESTING = "testing"
    STAGED = "staged"
    PROMOTED = "promoted"
    BLOCKED = "blocked"
    ABANDONED = "abandoned"


ENDED = frozenset({CascadeState.PROMOTED, CascadeState.ABANDONED})
AT_WORK = frozenset({CascadeState.PLANNED, CascadeState.BUILDING, CascadeState.TESTING})


class TaskState(StrEnum):
    """How far a task is. That somebody works on a READY one says the lease of its key, nothing else.

    WAITING: tasks that it requires are not done. READY: may be carried out. DONE: passed, or could not be run here,
    with the reason. FAILED: refused for a reason that trying again does not mend. BLOCKED: requires one that failed.
    FENCED: left out of this cascade.
    """

    WAITING = "waiting"
    READY = "ready"
    DONE = "done"
    FAILED = "failed"
    BLOCKED = "blocked"
    FENCED = "fenced"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What a cascade was planned for: platform tags or globs, Pythons (``3.13``) and recipes; empty means all or the
    farm's own, as on the command line. `bumps` are the releases that began it: ``gmp=6.3.0``. `suites` are tests that
    dependents must pass beside their smoke test: ``upstream``."""

    platforms: tuple[str, ...] = ()
    pythons: tuple[str, ...] = ()
    recipes: tuple[str, ...] = ()
    bumps: tuple[str, ...] = ()
    suites: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Cascade:
    """One coordinated change.

    `what` names it (``gmp 6.2.1 -> 6.3.0``), `reason` is why somebody wants it. Of two cascades for one channel that
    touch the same slots the one of higher `priority` goes first, then the older one.
    `catalog` and `before` are digests of frozen catalogs (farm.store.frozen): after and before the change.
    `base` is the number of the channel's generation that it builds on, 0 if there was none; `staged` that of its hidden
    channel; `promoted` that of the channel after promotion; both 0 until then. `note` says why it is blocked, abandoned
    or was rolled back. `untouched` counts steps of the plan that nothing happens to; `saved` are their recorded seconds
    and those of steps that are rebound or tested instead of built. `verdicts` are those of
    `Rework`, and ``not known`` of the other releases that changed.
    `checks` is what the staged generation was found to be (farm.cascade.stage).
    """

    id: int
    kind: CascadeKind
    what: str
    reason: str
    priority: int
    state: CascadeState
    channel: str
    catalog: str
    before: str
    scope: Scope
    base: int
    staged: int
    promoted: int
    note: str
    untouched: int
    saved: float
    verdicts: Mapping[str, str]
    checks: Mapping[str, Any]
    created: datetime
    updated: datetime
    finished: datetime | None = None

    @property
    def hidden(self) -> str:
        """The channel that holds what it will offer, before users are told of it."""
        return channels.hidden(self.id)


@dataclass(frozen=True, slots=True, kw_only=True)
class CascadeTask:
    """A task of a cascade (see `farm.model.rework.Task`) and how far it is.

    `source` is the key of the wheel that goes in: what REBIND moves or TEST tests; the task's own key for BUILD.
    `not_before` is the database's clock in milliseconds since 1970; `culprit` the id of the failed task that blocks it;
    `note` why it could not be run; `took` seconds; `reused` that its result was there before.
    """

    cascade: int
    position: int
    id: str
    verb: Verb
    step: str
    recipe: str
    platform: str
    key: str
    source: str
    why: str
    seconds: float | None
    natives: Mapping[str, str]
    state: TaskState
    missing: int
    attempts: int = 0
    not_before: int = 0
    error: str = ""
    culprit: str = ""
    note: str = ""
    took: float = 0.0
    reused: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Fence:
    """A recipe that stays on its old wheels in a cascade, until a moment, for a reason."""

    cascade: int
    recipe: str
    until: datetime
    reason: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How many tasks of a cascade are in which state, by verb, and the seconds that went into them."""

    counts: Mapping[tuple[Verb, TaskState], int] = field(default_factory=dict)
    reused: Mapping[Verb, int] = field(default_factory=dict)
    not_run: int = 0
    seconds: float = 0.0

    def having(self, state: TaskState, *verbs: Verb) -> int:
        """How many are in a state."""
        return sum(n for (verb, s), n in self.counts.items() if s is state and (not verbs or verb in verbs))

    @property
    def total(self) -> int:
        """All tasks."""
        return sum(self.counts.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class DraftTask:
    """A task to be: `source` as in `CascadeTask`; tasks of lower `rank` are carried out first."""

    task: Task
    source: str
    rank: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A cascade before it has a number. Fields as in `Cascade`; `tasks` in an order in which each comes after all it
    requires; `steps` are those of the plan after the change that tasks make, test or need."""

    kind: CascadeKind
    what: str
    reason: str
    priority: int
    channel: str
    catalog: str
    before: str
    scope: Scope
    base: int
    untouched: int
    saved: float
    verdicts: Mapping[str, str]
    tasks: tuple[DraftTask, ...]
    steps: tuple[Step, ...]
