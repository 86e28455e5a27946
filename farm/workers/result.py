"""What a run of a plan came to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from farm.errors import FarmError
from farm.model.artifact import Artifact
from farm.model.events import State


@dataclass(frozen=True, slots=True, kw_only=True)
class StepOutcome:
    """The end of one step.

    `artifact` is there when it is BUILT or CACHED; `error` is what a FAILED step raised (None if it failed in another
    process); `message` says why in one sentence; `log` is where its output went.
    """

    step: str
    state: State
    artifact: Artifact | None = None
    error: FarmError | None = None
    message: str = ""
    log: Path | None = None
    seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult:
    """The outcome of every step of a plan, by step id in plan order."""

    outcomes: Mapping[str, StepOutcome]

    @property
    def ok(self) -> bool:
        """True if there is a wheel of every step."""
        return all(o.artifact is not None for o in self.outcomes.values())

    @property
    def artifacts(self) -> dict[str, Artifact]:
        """The wheels there are, by step."""
        return {id_: o.artifact for id_, o in self.outcomes.items() if o.artifact is not None}

    def having(self, *states: State) -> tuple[StepOutcome, ...]:
        """The outcomes in one of these states, in plan order."""
        return tuple(o for o in self.outcomes.values() if o.state in states)
