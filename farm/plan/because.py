"""Why a step has another key than before, followed down to the step that really changed. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from farm.model.plan import KeyInput
from farm.plan.explain import explain
from farm.plan.keys import REQUIRES

Inputs = Callable[[str], Sequence[KeyInput]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Because:
    """What changed in one step, in words, and the reasons of the requirements that changed. `name` is its recipe."""

    name: str
    changes: tuple[str, ...]
    requirements: tuple[Because, ...] = ()


def because(name: str, old: Sequence[KeyInput], new: Sequence[KeyInput], *, old_of: Inputs, new_of: Inputs) -> Because:
    """Compare two sets of inputs. `old_of` and `new_of` give the inputs behind a requirement's key, or nothing.

    A requirement that several others share is followed once: where it is met first.
    """
    return _because(name, old, new, old_of, new_of, set())


def _because(
    name: str, old: Sequence[KeyInput], new: Sequence[KeyInput], old_of: Inputs, new_of: Inputs, seen: set[str]
) -> Because:
    before = {item.label: item for item in old}
    below = []
    for item in new:
        was = before.get(item.label)
        if was is None or was.digest == item.digest or not item.label.startswith(REQUIRES) or item.digest in seen:
            continue
        seen.add(item.digest)
        old_inputs, new_inputs = old_of(was.digest), new_of(item.digest)
        if old_inputs and new_inputs:
            name_below = item.label.removeprefix(REQUIRES)
            below.append(_because(name_below, old_inputs, new_inputs, old_of, new_of, seen))
    return Because(name=name, changes=tuple(explain(old, new)), requirements=tuple(below))
