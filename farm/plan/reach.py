"""Does the break of a library's ABI reach a dependent? Decided from the symbols that its wheel imports. Pure.

A dependent is reached if it imports a symbol that a breaking change concerns or whose type is not known, or if it calls
a third library with a type whose layout changed. Which constants of headers it was compiled with cannot be seen, so one
that changed reaches all. What is not known counts as reached: a rebuild too many costs time,
one too few breaks users.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from farm.abi import handed
from farm.model.abi import Abi, AbiChange, AbiDifference, ChangeKind, Verdict
from farm.model.rework import Verb
from farm.model.shown import some
from farm.plan.moves import Move

_SHOWN = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Imports:
    """What the binaries of a wheel import. `needs` are the recipes whose libraries they name; `bound` the symbols that
    the format binds to one of them, by recipe; `free` those that any library may give (ELF)."""

    needs: frozenset[str] = frozenset()
    bound: Mapping[str, frozenset[str]] = field(default_factory=dict)
    free: frozenset[str] = frozenset()

    def of(self, recipe: str) -> frozenset[str]:
        """The symbols that may come from the libraries of a recipe."""
        return self.bound.get(recipe, frozenset()) | self.free


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is known beside the plans; what is missing is not known.

    `imports` are by the build key of the wheel before the change. `differences` say what a move changes. `abis` are of
    libraries that were built against, by recipe, release and platform: which of their functions take which types.
    `seconds` are usual durations, by verb and slot. `beside`, by recipe, are all the dependents that one needs when
    it runs.
    """

    imports: Mapping[str, Imports] = field(default_factory=dict)
    differences: Mapping[Move, AbiDifference] = field(default_factory=dict)
    abis: Mapping[tuple[str, str, str], Abi] = field(default_factory=dict)
    seconds: Mapping[tuple[Verb, str], float] = field(default_factory=dict)
    beside: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def reached(move: Move, imports: Imports, through: Mapping[str, str], facts: Facts) -> str:
    """Why a move reaches a wheel, in words that name the symbol; empty if it does not.

    `through` are the other libraries that the wheel was built against and that are built against the moved one: recipe
    -> release.
    """
    difference = facts.differences.get(move)
    if difference is None:
        return f"what changed from {move.recipe} {move.older} to {move.newer} is not known"
    if difference.untyped:
        return f"the types of {', '.join(difference.untyped)} in {move.recipe} {move.newer} could not be compared"
    used = imports.of(move.recipe)
    for change in difference.changes:
        if change.verdict is Verdict.BREAKING:
            if hit := used & change.symbols:
                return f"imports {_some(hit)}; {_said(move, change)}"
            if not change.symbols:
                return f"which symbols it concerns is not known: {_said(move, change)}"
    if hit := used & difference.unknown:
        return f"imports {_some(hit)}, of which no type is known that could be compared with {move.recipe} {move.newer}"
    for change in difference.changes:
        if change.kind is ChangeKind.CONSTANT:
            return f"it may have been compiled with another constant: {_said(move, change)}"
    return next(_by_way_of(move, difference, imports, through, facts), "")


def _said(move: Move, change: AbiChange) -> str:
    return f"in {move.recipe} {move.newer} {change.said}"


def _by_way_of(
    move: Move, difference: AbiDifference, imports: Imports, through: Mapping[str, str], facts: Facts
) -> Iterator[str]:
    """Types of the moved library that a wheel hands to a third one: its own code knows their layout."""
    changed = handed.changed(difference)
    if not changed:
        return
    known = {name: facts.abis.get((name, release, move.platform)) for name, release in through.items()}
    changed = handed.with_holders(changed, [difference.older, *filter(None, known.values())])
    for recipe, release in sorted(through.items()):
        abi = known[recipe]
        if abi is None or not abi.typed:
            yield f"whether {recipe} {release} passes on types of {move.recipe} that changed is not known"
            continue
        used = imports.of(recipe)
        for library in abi.libraries.values():
            takers = handed.takers(library, changed)
            for name in sorted(used & takers.keys()):
                yield f"imports {name} of {recipe}, which takes {takers[name]}; that changed in {move.recipe}"
            if hit := used & handed.untyped(library):
                yield f"imports {_some(hit)} of {recipe}, which may take types of {move.recipe} that changed"


def _some(symbols: frozenset[str]) -> str:
    return some(sorted(symbols), _SHOWN)
