"""Why a step of a new plan has another key than in the old one: something of its own, or only that libraries which it
is built against moved to another ABI epoch. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

from farm.model.plan import Plan, Step
from farm.plan.explain import explain
from farm.plan.keys import ABI_EPOCH, REQUIRES, STABLE_ABI
from farm.plan.requirements import parse_version

_NOT_PLANNED = "it was not planned before"


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Move:
    """From one release of a library to another, on a platform."""

    recipe: str
    older: str
    newer: str
    platform: str

    def __str__(self) -> str:
        return f"{self.recipe}@{self.older} -> {self.recipe}@{self.newer}"


class Change(StrEnum):
    """How a step stands to the plan before: not there; the same key; another key for reasons of its own or of the
    builds below it; another key only because libraries moved to other ABI epochs."""

    NEW = "new"
    SAME = "same"
    OWN = "own"
    MOVED = "moved"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """How a step stands to the plan before, and why in words: the input that changed, followed down to the step that it
    is an input of. `old` is the step before, None if there is none of the slot; `moves` are of MOVED."""

    change: Change
    why: str = ""
    old: Step | None = None
    moves: tuple[Move, ...] = ()


class Plans:
    """A plan before a change and one after it, with what is looked up in both again and again."""

    def __init__(self, before: Plan, after: Plan) -> None:
        self.before, self.after = _View(before), _View(after)

    @cached_property
    def causes(self) -> Mapping[str, Cause]:
        """Of every step after the change, by its id."""
        found: dict[str, Cause] = {}
        for step in self.after.steps.values():  # each after all it requires
            found[step.id] = self._cause(step, found)
        return found

    def _cause(self, step: Step, causes: Mapping[str, Cause]) -> Cause:
        old = self.before.steps.get(step.id) or self.before.newest_of_slot(step.slot)
        if old is None:
            why = self.before.impossible.get((step.recipe, step.platform))
            return Cause(change=Change.NEW, why=f"it could not be built before: {why}" if why else _NOT_PLANNED)
        if old.key == step.key:
            return Cause(change=Change.SAME, old=old)
        if old.version != step.version and step.kind == "library":
            return Cause(change=Change.NEW, why=explain(old.inputs, step.inputs)[0], old=old)
        if why := self._own(step, old, causes):
            return Cause(change=Change.OWN, why=why, old=old)
        moves = tuple(self._moves(step, old))
        return Cause(change=Change.MOVED, why=told(moves), old=old, moves=moves)

    def _own(self, step: Step, old: Step, causes: Mapping[str, Cause]) -> str:
        """The first input of a step that changed for another reason than an ABI epoch; empty if there is none."""
        was = {item.label: item for item in old.inputs}
        changed = [item for item in step.inputs if item.label not in was or was[item.label].digest != item.digest]
        others = [item for item in changed if item.label not in was or not item.label.startswith(REQUIRES)]
        labels = {item.label for item in step.inputs}
        if others or was.keys() - labels or not changed:
            return next(iter(explain(old.inputs, step.inputs)), "its inputs have another order")
        return self._below(step, old, causes)

    def _below(self, step: Step, old: Step, causes: Mapping[str, Cause]) -> str:
        """Why something that a step is built against is another one, directly or further down; empty if that is only
        an ABI epoch. The keys of what is required directly do not tell: one that moves hides what changed below it."""
        new, was = self.after.required(step), self.before.required(old)
        if new.keys() != was.keys():
            return "it is built against other libraries"
        return next(filter(None, (self._replaced(new[name], was[name], causes) for name in new)), "")

    def _replaced(self, new: Step, was: Step, causes: Mapping[str, Cause]) -> str:
        """Why a library that a step is built against is another one; empty if it is not, or if that is only an ABI
        epoch."""
        label = f"{REQUIRES}{new.recipe}"
        if new.version != was.version:
            text = f"{label}: built against {new.version}, was {was.version}"
            return "" if epoch_in(new) != epoch_in(was) else text
        below = causes[new.id]
        if new.key == was.key or below.change is Change.MOVED:
            return ""
        return f"{label}: {below.why or 'built anew'}"

    def _moves(self, step: Step, old: Step) -> Iterator[Move]:
        was = self.before.required(old)
        for name, new in self.after.required(step).items():
            if name in was and was[name].version != new.version:
                yield Move(recipe=name, older=was[name].version, newer=new.version, platform=step.platform)


class _View:
    """One plan, by ids, slots and recipes."""

    def __init__(self, plan: Plan) -> None:
        self.impossible = {(row.recipe, row.platform): row.reason for row in plan.impossible if row.python is None}
        self.steps = {step.id: step for step in plan.steps}  # in the plan's order; it makes each anew when asked for
        self._required: dict[str, dict[str, Step]] = {}
        self._slots: dict[str, list[Step]] = {}
        for step in self.steps.values():
            self._slots.setdefault(step.slot, []).append(step)
        for steps in self._slots.values():
            steps.sort(key=lambda step: parse_version(step.version))

    def newest_of_slot(self, slot: str) -> Step | None:
        """The step of a slot with the newest release."""
        found = self._slots.get(slot)
        return found[-1] if found else None

    def required(self, step: Step) -> Mapping[str, Step]:
        """What a step is built against, by recipe."""
        if step.id not in self._required:
            self._required[step.id] = {self.steps[id_].recipe: self.steps[id_] for id_ in step.requires}
        return self._required[step.id]

    def runs_with(self, step: Step, beside: Iterable[str] = ()) -> dict[str, Step]:
        """The newest release of each library that a step runs with, of the ABI epoch that it was built against; the
        dependents `beside` it; and the libraries that these run with."""
        others = [other for name in beside if (other := self._for_the_same(step, name)) is not None]
        found = {other.recipe: other for other in others}
        for one in (step, *others):
            for name, linked in self.required(one).items():
                found.setdefault(name, self._newest_of_epoch(linked))
        return found

    def _for_the_same(self, step: Step, recipe: str) -> Step | None:
        """The newest release of another dependent for the platform and the Python of a step, or with the stable ABI."""
        place = f"{recipe}/{step.platform}/"
        if own := self.newest_of_slot(f"{place}{step.python}"):
            return own
        others = (steps[-1] for slot, steps in self._slots.items() if slot.startswith(place))
        return next((other for other in others if any(item.label == STABLE_ABI for item in other.inputs)), None)

    def _newest_of_epoch(self, linked: Step) -> Step:
        epoch = epoch_in(linked)
        return next(step for step in reversed(self._slots[linked.slot]) if epoch_in(step) == epoch)


def epoch_in(step: Step) -> str:
    """The ABI epoch of a library's step, as its inputs say it; empty for a dependent."""
    return next((item.shown for item in step.inputs if item.label == ABI_EPOCH), "")


def told(moves: tuple[Move, ...]) -> str:
    """Moves in words."""
    return " and ".join(f"{move.recipe} moves from {move.older} to {move.newer}" for move in moves)
