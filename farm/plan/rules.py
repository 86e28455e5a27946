"""How much other rules would rebuild for the same change, over the same plans: for comparisons. Pure.

`ours` is what `farm.plan.rework` says. `every_input` is the rule of builders that hash every input: whatever has a
changed library anywhere below it is built again. `version_pin` is the rule of version pins: a release of a library
moves its direct dependents if the leading numbers of its version changed. For the two others a library has one release
at a time, its newest, so a recipe is built once per platform (and Python).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from farm.model.plan import Plan, Step
from farm.model.rework import Rework, Verb
from farm.plan.keys import REQUIRES
from farm.plan.requirements import parse_version


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebuilt:
    """What a rule builds from sources: step ids in the plan's order, `seconds` of those whose duration is recorded,
    `unknown` counts the others."""

    steps: tuple[str, ...]
    seconds: float
    unknown: int


def ours(after: Plan, found: Rework, seconds: Mapping[str, float]) -> Rebuilt:
    """The farm's rule: the builds of a rework. `seconds` are usual durations of builds, by slot."""
    built = {task.step for task in found.tasks if task.verb is Verb.BUILD}
    return _rebuilt((step for step in after.steps if step.id in built), seconds)


def every_input(before: Plan, after: Plan, seconds: Mapping[str, float]) -> Rebuilt:
    """Every input counts: what changed itself, and all that has something changed below it."""
    changed = _changed(before, after)
    above: set[str] = set()
    for step in after.steps:  # each after all it requires
        recipes = {_slot(id_, step.platform) for id_ in step.requires}
        if step.slot in changed or recipes & (changed | above):
            above.add(step.slot)
    return _rebuilt((step for step in _newest(after) if step.slot in above), seconds)


def version_pin(before: Plan, after: Plan, seconds: Mapping[str, float], *, numbers: int) -> Rebuilt:
    """Pins of the first `numbers` of a version: what changed itself, and direct dependents of a library whose pinned
    part changed. `numbers` is 1 (``6``) or 2 (``6.3``)."""
    changed = _changed(before, after)
    old = {step.slot: step for step in _newest(before)}
    moved = {
        step.slot
        for step in _newest(after)
        if step.slot in changed and (step.slot not in old or _pin(step, numbers) != _pin(old[step.slot], numbers))
    }
    return _rebuilt((s for s in _newest(after) if s.slot in changed or _direct(s) & moved), seconds)


def all_rules(before: Plan, after: Plan, found: Rework, seconds: Mapping[str, float]) -> dict[str, Rebuilt]:
    """Every rule by its name."""
    rules: dict[str, Callable[[], Rebuilt]] = {
        "ours": lambda: ours(after, found, seconds),
        "every input": lambda: every_input(before, after, seconds),
        "version pin x.y": lambda: version_pin(before, after, seconds, numbers=2),
        "version pin x": lambda: version_pin(before, after, seconds, numbers=1),
    }
    return {name: rule() for name, rule in rules.items()}


def _changed(before: Plan, after: Plan) -> set[str]:
    """The slots whose newest step has an input of its own that changed: not one of what it is built against."""
    old = {step.slot: _own(step) for step in _newest(before)}
    return {step.slot for step in _newest(after) if old.get(step.slot) != _own(step)}


def _own(step: Step) -> frozenset[tuple[str, str]]:
    """A step's own inputs. What a native wheel says of its ABI follows from the releases beside it."""
    return frozenset((i.label, i.digest) for i in step.inputs if not i.label.startswith((REQUIRES, "abi")))


def _newest(plan: Plan) -> list[Step]:
    """The newest step of each slot, in the plan's order."""
    newest: dict[str, Step] = {}
    for step in plan.steps:
        old = newest.get(step.slot)
        if old is None or parse_version(step.version) >= parse_version(old.version):
            newest[step.slot] = step
    order = {step.id: place for place, step in enumerate(plan.steps)}
    return sorted(newest.values(), key=lambda step: order[step.id])


def _direct(step: Step) -> set[str]:
    """The slots of what a step requires itself."""
    labels = (item.label for item in step.inputs if item.label.startswith(REQUIRES))
    return {f"{label.removeprefix(REQUIRES)}/{step.platform}" for label in labels}


def _slot(id_: str, platform: str) -> str:
    return f"{id_.partition('@')[0]}/{platform}"


def _pin(step: Step, numbers: int) -> tuple[int, ...]:
    release = parse_version(step.version).release
    return (*release, 0, 0)[:numbers]


def _rebuilt(steps: Iterable[Step], seconds: Mapping[str, float]) -> Rebuilt:
    found = tuple(steps)
    known = [seconds[step.slot] for step in found if step.slot in seconds]
    return Rebuilt(steps=tuple(step.id for step in found), seconds=sum(known), unknown=len(found) - len(known))
