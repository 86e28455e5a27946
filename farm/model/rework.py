"""What a change needs: which steps are built again, which are only moved to another library, which are only tested.

The values that `farm.plan.rework` makes from a plan before and a plan after a change, and that a cascade carries out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Verb(StrEnum):
    """What is done to a step's wheel.

    BUILD: it is made from its sources. REBIND: the stored wheel of the slot is moved to another ABI epoch of the native
    wheels that it uses: references renamed in place, bounds and signature renewed, nothing compiled. TEST: the wheel
    runs its own tests with the newest native wheels; nothing is made.
    """

    BUILD = "build"
    REBIND = "rebind"
    TEST = "test"


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One thing a cascade does.

    `id` is ``<verb> <step id>``; `step` the id of the plan step (of the plan after the change) whose wheel the task
    makes or tests. `key` is the identity of the task's result: for BUILD the step's build key; for REBIND and TEST a
    sha256 in hex over what goes in (the wheel's key and the keys of the native wheels it is rebound to or tested with),
    so that a task that passed once is never done again. `requires` are ids of tasks of the same rework that must have
    passed before. `why` is a sentence for maintainers that names a symbol or an input. `seconds` is the expected
    duration from recorded ones, None if nothing like it was recorded. `natives`, for REBIND and TEST: recipe -> version
    to rebind to or to test with; empty for BUILD. `beside`, for TEST: ids of the steps of other dependents that it runs
    with.
    """

    id: str
    verb: Verb
    step: str
    key: str
    requires: tuple[str, ...]
    why: str
    seconds: float | None
    natives: Mapping[str, str]
    beside: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Rework:
    """All that one change needs.

    `tasks` are in an order in which each comes after all it requires; `untouched` counts the plan's steps that nothing
    happens to; `verdicts` are the ABI verdicts of changed library releases that are known
    (``gmp@6.2.1 -> gmp@6.3.0`` -> ``compatible``).
    """

    tasks: tuple[Task, ...]
    untouched: int
    verdicts: Mapping[str, str]
