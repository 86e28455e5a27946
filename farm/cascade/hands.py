"""What carries out the tasks of a cascade: the door between the state machine and the farm."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from farm.model.cascade import Cascade, CascadeTask
from farm.model.outcome import Outcome
from farm.process import Cancel


@dataclass(frozen=True, slots=True, kw_only=True)
class Deed:
    """What carrying out a task came to. `reason` says why it FAILED or was NOT_RUN; `error` is the fault, if there was
    one; `seconds` of wall time."""

    outcome: Outcome
    reason: str = ""
    seconds: float = 0.0
    error: BaseException | None = None


class Hands(Protocol):
    """Carries out tasks. Methods are called from several threads."""

    def has(self, task: CascadeTask) -> bool:
        """Whether the wheel that a BUILD or REBIND task makes is stored already."""
        ...

    def key_of(self, task: CascadeTask) -> str:
        """What whoever advances the cascade leases while the task is carried out: the task's own key, if it is done in
        this process."""
        ...

    def carry_out(self, cascade: Cascade, task: CascadeTask, cancel: Cancel) -> Deed:
        """Do it; the caller holds the lease of `key_of(task)`. After PASSED, `has` is true of a BUILD or REBIND task.

        Does not raise because of the thing at hand: that is a `Deed`.
        """
        ...
