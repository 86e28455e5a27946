"""The schedule: which step may start now. Pure: no clock, no threads, no disk."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Collection, Mapping
from statistics import median

from farm.model.events import State
from farm.model.plan import Plan, Step

_UNKNOWN_SECONDS = 60.0  # what a step without any history is taken to cost when nothing has history
_FINAL = frozenset({State.CACHED, State.BUILT, State.FAILED, State.BLOCKED, State.CANCELLED})


class Schedule:
    """The steps of a plan and how far each is.

    `done` are the keys of steps that need no work; `durations` the usual seconds by slot (of other slots of a recipe
    for those without history). Ready steps come longest
    chain of waiting work first, then in plan order, so the same plan is always run in the same order.

    The first final word about a step counts: reports that come twice, late or for unknown steps change nothing.
    """

    def __init__(self, plan: Plan, done: Collection[str] = (), *, durations: Mapping[str, float] | None = None) -> None:
        self._steps = {step.id: step for step in plan.steps}
        self._position = {step.id: number for number, step in enumerate(plan.steps)}
        self._states = {step.id: State.CACHED if step.key in done else State.WAITING for step in plan.steps}
        self._culprits: dict[str, str] = {}
        self._dependents: dict[str, list[str]] = {step.id: [] for step in plan.steps}
        self._missing: dict[str, int] = {}
        self._open = sum(state is State.WAITING for state in self._states.values())
        self._heap: list[tuple[float, int, str]] = []
        self._link()
        self._chain = self._chains(durations or {})
        for id_, missing in self._missing.items():
            if missing == 0:
                self._offer(id_)

    @property
    def is_over(self) -> bool:
        """True once no step can start or is running."""
        return self._open == 0

    def state(self, id_: str) -> State:
        """What became of a step so far."""
        return self._states[id_]

    def culprit(self, id_: str) -> str:
        """The id of the failed step that a BLOCKED step waits for."""
        return self._culprits.get(id_, "")

    def urgency(self, id_: str) -> float:
        """Expected seconds from a waiting step's start to the end of the longest chain behind it."""
        return self._chain.get(id_, 0.0)

    def ready(self) -> tuple[Step, ...]:
        """All steps that may start now, most urgent first."""
        return tuple(self._steps[id_] for _, _, id_ in sorted(self._heap) if self._states[id_] is State.WAITING)

    def take(self) -> Step | None:
        """Start the most urgent ready step."""
        while self._heap:
            id_ = heapq.heappop(self._heap)[2]
            if self._states[id_] is State.WAITING:
                self._states[id_] = State.RUNNING
                return self._steps[id_]
        return None

    def start(self, id_: str) -> bool:
        """A step starts. False if it may not: unknown, not ready, or started before."""
        if self._states.get(id_) is not State.WAITING or self._missing.get(id_, 1):
            return False
        self._states[id_] = State.RUNNING
        return True

    def finish(self, id_: str, state: State = State.BUILT) -> tuple[str, ...]:
        """A step has its artifact (BUILT or CACHED). Returns the ids that became ready."""
        if not self._end(id_, state):
            return ()
        freed = []
        for dependent in self._dependents[id_]:
            self._missing[dependent] -= 1
            if self._missing[dependent] == 0 and self._states[dependent] is State.WAITING:
                self._offer(dependent)
                freed.append(dependent)
        return tuple(freed)

    def fail(self, id_: str, state: State = State.FAILED) -> tuple[str, ...]:
        """A step has failed (or was CANCELLED). Returns the ids that are blocked by it; all others go on."""
        return self._block(id_) if self._end(id_, state) else ()

    def _link(self) -> None:
        """Count what each waiting step waits for. What can never start is blocked at once, not left to hang."""
        lost: list[tuple[str, str]] = []
        for step in self._steps.values():
            if self._states[step.id] is not State.WAITING:
                continue
            self._missing[step.id] = 0
            for required in dict.fromkeys(step.requires):
                if required not in self._steps:
                    lost.append((step.id, f"{required}, which is not in the plan"))
                elif self._states[required] is State.WAITING:
                    self._missing[step.id] += 1
                    self._dependents[required].append(step.id)
        for id_, culprit in lost:
            self._block_one(id_, culprit)
            self._block(id_)
        for id_ in self._in_cycles():
            self._block_one(id_, "itself: its requirements form a cycle")

    def _order(self) -> list[str]:
        """Waiting steps, each after what it requires; steps in or behind a cycle are not there."""
        missing = dict(self._missing)
        order = [id_ for id_, count in missing.items() if count == 0]
        for id_ in order:  # grows while it is read
            for dependent in self._dependents[id_]:
                missing[dependent] -= 1
                if missing[dependent] == 0:
                    order.append(dependent)
        return order

    def _in_cycles(self) -> list[str]:
        ordered = set(self._order())
        return [id_ for id_ in self._missing if id_ not in ordered]

    def _chains(self, durations: Mapping[str, float]) -> dict[str, float]:
        """Seconds from the start of each step to the end of the longest chain behind it."""
        expected = _expected(durations)
        chain: dict[str, float] = {}
        for id_ in reversed(self._order()):
            behind = max((chain[d] for d in self._dependents[id_]), default=0.0)
            chain[id_] = behind + expected(self._steps[id_])
        return chain

    def _offer(self, id_: str) -> None:
        heapq.heappush(self._heap, (-self._chain.get(id_, 0.0), self._position[id_], id_))

    def _end(self, id_: str, state: State) -> bool:
        if id_ not in self._states or self._states[id_] in _FINAL:
            return False
        self._states[id_] = state
        self._open -= 1
        return True

    def _block(self, culprit: str) -> tuple[str, ...]:
        """Block all that needs a step, directly or not."""
        blocked, queue = [], list(self._dependents[culprit])
        for id_ in queue:  # grows while it is read
            if self._block_one(id_, culprit):
                blocked.append(id_)
                queue.extend(self._dependents[id_])
        return tuple(blocked)

    def _block_one(self, id_: str, culprit: str) -> bool:
        if not self._end(id_, State.BLOCKED):
            return False
        self._culprits[id_] = culprit
        return True


def _expected(durations: Mapping[str, float]) -> Callable[[Step], float]:
    """Seconds that a step is taken to need: as its slot did, else as its recipe does elsewhere, else as the median.

    A recipe on a new platform or Python is as large as it is on the others: without that, the first run of a new
    platform starts its longest chains too late.
    """
    recipes: dict[str, list[float]] = {}
    for slot, seconds in durations.items():
        recipes.setdefault(slot.partition("/")[0], []).append(seconds)
    medians = {recipe: median(known) for recipe, known in recipes.items()}
    usual = median(durations.values()) if durations else _UNKNOWN_SECONDS

    def expected(step: Step) -> float:
        known = durations.get(step.slot)
        return medians.get(step.recipe, usual) if known is None else known

    return expected
