"""What carries out the steps of a run: the door between who decides and who works."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from farm.model.artifact import Artifact
from farm.model.plan import Step
from farm.workers.result import StepOutcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The end of a step that was taken. `bug` is what a fault of the farm itself raised."""

    step: Step
    outcome: StepOutcome
    bug: BaseException | None = None


class Hands(Protocol):
    """Carries out steps. Only the thread that decides calls methods."""

    @property
    def has_room(self) -> bool:
        """Whether `take` may be called now."""
        ...

    @property
    def is_busy(self) -> bool:
        """Whether something that was taken must still be waited for, even by a run that was cancelled."""
        ...

    def take(self, step: Step, deps: Mapping[str, Artifact]) -> None:
        """Begin a step whose requirements are there (`deps`, by step id). Its end is reported once."""
        ...

    def reports(self) -> Sequence[Report]:
        """What ended; waits for a moment if nothing did."""
        ...

    def close(self) -> None:
        """Stop, and give everything back. After it, nothing of this run is at work here."""
        ...
