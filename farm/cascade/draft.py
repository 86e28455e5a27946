"""From two plans and what lies between them to a cascade that can be written down; asks only what is stored."""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from farm.errors import PlanError
from farm.model.cascade import CascadeKind, Draft, DraftTask, Scope
from farm.model.plan import Plan, Step
from farm.model.rework import Rework, Task, Verb
from farm.plan.moves import Plans
from farm.plan.rework import releases

PRIORITIES = {CascadeKind.SECURITY: 100, CascadeKind.BUMP: 10, CascadeKind.TOOLCHAIN: 10, CascadeKind.SCHEDULE: 0}
_UNKNOWN = "not known"
_UNKNOWN_SECONDS = 60.0  # what a task without any history is taken to cost


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What somebody wants. `priority` None takes that of the kind (`PRIORITIES`)."""

    kind: CascadeKind
    what: str
    channel: str
    reason: str = ""
    priority: int | None = None
    scope: Scope = field(default_factory=Scope)


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What is there. `stored`: whether a key's wheel, or what stands in for it, is in the store. `durations`: usual
    seconds by slot."""

    stored: Callable[[str], bool]
    durations: Mapping[str, float]


def draft(
    request: Request, rework: Rework, *, before: Plan, after: Plan, known: Known, catalog: str, earlier: str, base: int
) -> Draft:
    """The cascade that carries out `rework`. `catalog` and `earlier` are digests of the frozen catalogs that the plans
    after and before the change were made from.

    What a task needs and is not in the store is built first. A wheel to be rebound that is gone is built. Raises
    PlanError for a rework that does not fit the plan.
    """
    work = _Work(before, after, known)
    tasks = _ordered(work.completed(tuple(_thorough(task, request.scope) for task in rework.tasks)))
    ranks = _ranks(tasks)
    sources = {task.id: work.source(task, tasks) for task in tasks.values()}
    spared = [task for task in tasks.values() if task.verb is not Verb.BUILD and work.is_spared(task, tasks)]
    return Draft(
        kind=request.kind,
        what=request.what,
        reason=request.reason,
        priority=PRIORITIES[request.kind] if request.priority is None else request.priority,
        channel=request.channel,
        catalog=catalog,
        before=earlier,
        scope=request.scope,
        base=base,
        untouched=rework.untouched,
        saved=sum(known.durations.get(work.steps[task.step].slot, 0.0) for task in spared),
        verdicts={**dict.fromkeys(_moved(before, after), _UNKNOWN), **rework.verdicts},
        tasks=tuple(DraftTask(task=t, source=sources[t.id], rank=ranks[t.id]) for t in tasks.values()),
        steps=tuple(work.needed_steps(tasks.values())),
    )


def _moved(before: Plan, after: Plan) -> list[str]:
    """The releases of libraries that change, in words: what is not known of their ABIs is said, too."""
    return [str(move) for move in releases(Plans(before, after))]


def _thorough(task: Task, scope: Scope) -> Task:
    """A test with more suites is another one: that it once passed with fewer says nothing."""
    if task.verb is not Verb.TEST or not scope.suites:
        return task
    return replace(task, key=hashlib.sha256("\n".join((task.key, *scope.suites)).encode()).hexdigest())


class _Work:
    """The plans around a rework, and what it takes to carry it out."""

    def __init__(self, before: Plan, after: Plan, known: Known) -> None:
        self.steps = after.by_id()
        self._old = {step.slot: step for step in before.steps}
        self._known = known

    def completed(self, tasks: tuple[Task, ...]) -> dict[str, Task]:
        """The tasks, and builds of what they need that nobody makes and the store does not hold."""
        possible = [self._possible(task) for task in tasks]
        renamed = {old.id: new.id for old, new in zip(tasks, possible, strict=True)}
        found = {
            task.id: replace(task, requires=tuple(renamed.get(name, name) for name in task.requires))
            for task in possible
        }
        queue = list(found.values())
        for task in queue:  # grows while it is read
            more = []
            for step in self.needs(task):
                maker = f"{Verb.BUILD} {step.id}"
                if maker not in found and self._known.stored(step.key):
                    continue
                if maker not in found:
                    found[maker] = self._build(step, "its wheel is not stored")
                    queue.append(found[maker])
                if maker not in task.requires:
                    more.append(maker)
            if more:
                found[task.id] = replace(found[task.id], requires=(*task.requires, *more))
        return found

    def needs(self, task: Task) -> Iterator[Step]:
        """The steps whose wheels a task takes, but the one that it moves."""
        step = self._step(task)
        if task.verb is Verb.TEST and f"{Verb.REBIND} {step.id}" not in task.requires:
            yield step
        names = step.requires if task.verb is Verb.BUILD or not task.natives else self.natives(task)
        beside = (name for name in task.beside if f"{Verb.REBIND} {name}" not in task.requires)
        yield from (self._named(name, task) for name in (*names, *beside))

    def natives(self, task: Task) -> list[str]:
        """The step ids of the native wheels that a task works with."""
        platform = self._step(task).platform
        return [f"{name}@{version}/{platform}" for name, version in task.natives.items()]

    def source(self, task: Task, tasks: Mapping[str, Task]) -> str:
        """The key of the wheel that goes into a task."""
        if task.verb is Verb.BUILD:
            return task.key
        if task.verb is Verb.TEST:
            for verb in (Verb.REBIND, Verb.BUILD):
                if maker := tasks.get(f"{verb} {task.step}"):
                    return maker.key
        step = self._step(task)
        return self._old.get(step.slot, step).key if task.verb is Verb.REBIND else step.key

    def is_spared(self, task: Task, tasks: Mapping[str, Task]) -> bool:
        """Whether a task stands for a build that is not needed."""
        if task.verb is Verb.TEST:
            return not any(f"{verb} {task.step}" in tasks for verb in (Verb.BUILD, Verb.REBIND))
        return True

    def needed_steps(self, tasks: Iterable[Task]) -> Iterator[Step]:
        """The steps of all tasks and of what they need, each once."""
        seen: dict[str, Step] = {}
        for task in tasks:
            for step in (self._step(task), *self.needs(task)):
                seen.setdefault(step.id, step)
                for name in step.requires:  # tests install what a native wheel requires, too
                    seen.setdefault(name, self.steps[name])
        yield from seen.values()

    def _possible(self, task: Task) -> Task:
        """A wheel that is not there any more cannot be rebound."""
        if task.verb is not Verb.REBIND or self._known.stored(self.source(task, {})):
            return task
        step = self._step(task)
        why = f"{task.why}; the wheel to rebind is not stored"
        return replace(task, id=f"{Verb.BUILD} {step.id}", verb=Verb.BUILD, key=step.key, natives={}, why=why)

    def _build(self, step: Step, why: str) -> Task:
        return Task(
            id=f"{Verb.BUILD} {step.id}",
            verb=Verb.BUILD,
            step=step.id,
            key=step.key,
            requires=(),
            why=why,
            seconds=self._known.durations.get(step.slot),
            natives={},
        )

    def _step(self, task: Task) -> Step:
        return self._named(task.step, task)

    def _named(self, id_: str, task: Task) -> Step:
        if id_ not in self.steps:
            raise PlanError(f"needs {id_}, which the plan does not have", where=task.id)
        return self.steps[id_]


def _ordered(tasks: Mapping[str, Task]) -> dict[str, Task]:
    """Each after all it requires, else as given. Raises PlanError for a cycle or an unknown requirement."""
    position = {id_: number for number, id_ in enumerate(tasks)}
    missing = {id_: len(set(task.requires)) for id_, task in tasks.items()}
    behind: dict[str, list[str]] = {id_: [] for id_ in tasks}
    for id_, task in tasks.items():
        for name in set(task.requires):
            if name not in tasks:
                raise PlanError(f"requires {name}, which is no task", where=id_)
            behind[name].append(id_)
    ready = [(position[id_], id_) for id_, count in missing.items() if not count]
    heapq.heapify(ready)
    found: dict[str, Task] = {}
    while ready:
        _, id_ = heapq.heappop(ready)
        found[id_] = tasks[id_]
        for name in behind[id_]:
            missing[name] -= 1
            if not missing[name]:
                heapq.heappush(ready, (position[name], name))
    if len(found) < len(tasks):
        raise PlanError(
            "the tasks require each other in a circle", where=next(id_ for id_ in tasks if id_ not in found)
        )
    return found


def _ranks(tasks: Mapping[str, Task]) -> dict[str, int]:
    """The place of each task when those with the longest work behind them come first."""
    chain: dict[str, float] = {}
    longest: dict[str, float] = dict.fromkeys(tasks, 0.0)
    for id_ in reversed(list(tasks)):  # what requires a task comes after it
        task = tasks[id_]
        chain[id_] = longest[id_] + (_UNKNOWN_SECONDS if task.seconds is None else task.seconds)
        for name in task.requires:
            longest[name] = max(longest[name], chain[id_])
    position = {id_: number for number, id_ in enumerate(tasks)}
    order = sorted(tasks, key=lambda id_: (-chain[id_], position[id_]))
    return {id_: rank for rank, id_ in enumerate(order)}


def part(plan: Plan, is_there: Callable[[str], bool]) -> Plan:
    """The steps of a plan whose keys, and those of all that they require, are there: what counts as the plan before a
    change of which nothing else is known."""
    there: dict[str, Step] = {}
    for step in plan.steps:
        if is_there(step.key) and all(name in there for name in step.requires):
            there[step.id] = step
    return Plan(steps=tuple(there.values()))
