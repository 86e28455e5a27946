"""What a rework takes, from recorded durations. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from farm.model.rework import Task


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """`seconds` of all tasks together; `critical` of the longest chain of tasks that wait for each other, which no
    number of machines makes shorter, and its task ids in `path`. `unknown` counts tasks without a recorded duration,
    which add nothing."""

    seconds: float
    critical: float
    path: tuple[str, ...]
    unknown: int

    def at_least(self, jobs: int) -> float:
        """Wall seconds that `jobs` tasks at a time cannot beat."""
        return max(self.critical, self.seconds / max(1, jobs))


def cost(tasks: Sequence[Task]) -> Cost:
    """The cost of tasks in an order in which each comes after all it requires."""
    ends: dict[str, float] = {}
    via: dict[str, str] = {}
    for task in tasks:
        last = max((id_ for id_ in task.requires if id_ in ends), key=lambda id_: ends[id_], default="")
        ends[task.id] = (ends[last] if last else 0.0) + (task.seconds or 0.0)
        via[task.id] = last
    end = max(ends, key=lambda id_: ends[id_], default="")
    path = []
    while end:
        path.append(end)
        end = via[end]
    return Cost(
        seconds=sum(task.seconds or 0.0 for task in tasks),
        critical=max(ends.values(), default=0.0),
        path=tuple(reversed(path)),
        unknown=sum(task.seconds is None for task in tasks),
    )
