"""How long a plan takes with so many workers, without running it: the schedule of real builds on made-up time. Pure."""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from dataclasses import dataclass

from farm.model.plan import Plan
from farm.workers.schedule import Schedule


@dataclass(frozen=True, slots=True, kw_only=True)
class Makespan:
    """Seconds until the last step has ended, and the two times that no schedule can beat: `critical`, the longest chain
    of steps that need each other, and `work` of all steps shared evenly by `workers`."""

    seconds: float
    critical: float
    work: float
    workers: int

    @property
    def bound(self) -> float:
        """The least that is possible."""
        return max(self.critical, self.work / self.workers)

    @property
    def ratio(self) -> float:
        """How many times that it takes; 1.0 for a plan of no steps."""
        return self.seconds / self.bound if self.bound else 1.0


def simulate(
    plan: Plan, seconds: Mapping[str, float], *, workers: int, durations: Mapping[str, float] | None = None
) -> Makespan:
    """Run a plan whose steps take `seconds` (by step id) on `workers` machines that take one step at a time.

    `durations` is what the schedule expects, by slot, as in a real run. Every step succeeds. Raises ValueError for
    fewer than one worker.
    """
    if workers < 1:
        raise ValueError(f"{workers} workers can do nothing")
    schedule = Schedule(plan, durations=durations)
    running: list[tuple[float, str]] = []
    now = 0.0
    while not schedule.is_over:
        while len(running) < workers and (step := schedule.take()):
            heapq.heappush(running, (now + seconds[step.id], step.id))
        now, ended = heapq.heappop(running)
        schedule.finish(ended)
    return Makespan(seconds=now, critical=_critical(plan, seconds), work=sum(seconds.values()), workers=workers)


def _critical(plan: Plan, seconds: Mapping[str, float]) -> float:
    ends: dict[str, float] = {}
    for step in plan.steps:
        begin = max((ends[required] for required in step.requires), default=0.0)
        ends[step.id] = begin + seconds[step.id]
    return max(ends.values(), default=0.0)
