"""What happens to steps while a plan runs: one stream for progress bars, plain lines and JSON."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """States of a step within one run."""

    WAITING = "waiting"
    RUNNING = "running"
    CACHED = "cached"
    BUILT = "built"
    FAILED = "failed"
    BLOCKED = "blocked"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True, kw_only=True)
class StepEvent:
    """A step changed its state or phase (``fetch``, ``configure``, ``make``, ``link``, ``audit``, ``pack``).

    `seconds` is the time since the step started.
    """

    step: str
    state: State
    phase: str = ""
    seconds: float = 0.0
    message: str = ""


Listener = Callable[[StepEvent], None]
