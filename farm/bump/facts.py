"""The facts that decide what a change needs, from what is there: stored wheels, pinned and measured ABIs, the ledger's
durations. Nothing is built or measured for them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING

from farm import measure
from farm.abi import baseline, surface
from farm.abi.compare import compare
from farm.bump.imports import imports_of
from farm.catalog.values import Catalog
from farm.errors import FarmError
from farm.model.abi import Abi, AbiDifference
from farm.model.plan import Plan, Step
from farm.model.rework import Rework, Verb
from farm.plan import rework
from farm.plan.epochs import of_epoch
from farm.plan.moves import Move, Plans
from farm.plan.reach import Facts, Imports
from farm.plan.selection import needed_to_run
from farm.settings import Settings
from farm.store.artifacts import open_store
from farm.wheel import native_libraries

if TYPE_CHECKING:
    from farm.store.ledger import Ledger


Seconds = Mapping[tuple[Verb, str], float]
"""Usual seconds of tasks, by verb and slot."""
_UNKNOWN: Seconds = MappingProxyType({})


def seconds_of(ledger: Ledger | None) -> Seconds:
    """What the ledger remembers; nothing without one."""
    if ledger is None:
        return _UNKNOWN
    return {(Verb.BUILD, slot): seconds for slot, seconds in ledger.durations().items()} | ledger.task_durations()


def decide(
    before: Plan, after: Plan, catalog: Catalog, settings: Settings, seconds: Seconds = _UNKNOWN
) -> tuple[Rework, Facts]:
    """What it takes to get from one plan to the other, and what that rests on.

    Raises CatalogError for a pinned ABI that is damaged.
    """
    facts = gather(before, after, catalog, settings, seconds)
    return rework.rework(before, after, facts), facts


def stored_imports(wheels: Mapping[str, str], catalog: Catalog, settings: Settings) -> dict[str, Imports]:
    """What stored wheels import from the catalog's libraries, by the names of `wheels`: name -> build key. Those that
    are not stored, or cannot be read, are left out."""
    store = open_store(settings)
    recipes = {p.name: name for name, loaded in catalog.recipes.items() for p in loaded.recipe.products.library}
    stored = ((name, store.get(key)) for name, key in wheels.items())
    imports = ((name, imports_of(wheel, store, settings.abi, recipes)) for name, wheel in stored if wheel)
    return {name: found for name, found in imports if found}


def gather(before: Plan, after: Plan, catalog: Catalog, settings: Settings, seconds: Seconds = _UNKNOWN) -> Facts:
    """All that is known of what `farm.plan.rework` asks. Raises CatalogError for a pinned ABI that is damaged."""
    asked = rework.questions(before, after)
    known = _Known((*before.steps, *after.steps), catalog, settings)
    differences = ((move, known.difference(move)) for move in asked.moves)
    abis = ((row, known.typed(*row)) for row in asked.abis)
    return Facts(
        imports=stored_imports({step.key: step.key for step in asked.wheels}, catalog, settings),
        differences={move: found for move, found in differences if found},
        abis={row: abi for row, abi in abis if abi},
        seconds=seconds,
        beside={
            name: needed_to_run([name], lambda other: catalog.recipes[other].recipe)
            for name, loaded in catalog.recipes.items()
            if loaded.recipe.requires.dependents
        },
    )


def releases(before: Plan, after: Plan) -> tuple[Move, ...]:
    """From the newest release of each library before a change to its newest after it, where that is another."""
    return tuple(rework.releases(Plans(before, after)))


class _Known:
    """The ABIs that are pinned in recipes or were measured here."""

    def __init__(self, steps: Sequence[Step], catalog: Catalog, settings: Settings) -> None:
        self._steps = {step.id: step for step in steps}
        self._catalog = catalog
        self._settings = settings
        recipes = catalog.recipes
        self._pins = cache(lambda name: baseline.load(recipes[name].directory, recipes[name].internal))

    def difference(self, move: Move) -> AbiDifference | None:
        """What a move changes on its platform, or else on one of its class; None if an ABI is not known.

        Where types were not looked at, exports are compared, and the types are those of other platforms, if these
        together show all that may change.
        """
        found = next(self._differences(move, [move.platform, *self._same_class(move.platform)]), None)
        if found is None:
            return None
        if found.older.platform != move.platform:
            own = self._own_exports(move)
            if not own:
                return replace(found, untyped=tuple(sorted(found.older.libraries)))
            found = replace(found, unknown=found.unknown | (own - found.older.names))
        if not found.untyped:
            return found
        shown_by = surface.TYPES_SHOWN_BY.get(found.newer.abi_class, ())
        typed = [self._typed_difference(move, abi_class) for abi_class in shown_by]
        return _with_types(found, [each for each in typed if each is not None]) if typed and all(typed) else found

    def _own_exports(self, move: Move) -> frozenset[str]:
        """What the older release exports on the platform of a move, by its stored wheel: another platform does not tell
        of code for this one's processor. Empty if that is not known."""
        step = self._steps.get(f"{move.recipe}@{move.older}/{move.platform}")
        store = open_store(self._settings)
        wheel = store.get(step.key) if step else None
        try:
            known = tuple(native_libraries.load([store.path(wheel)])) if wheel else ()
        except (OSError, FarmError):
            return frozenset()
        return frozenset(symbol.name for library in known for symbol in library.linkage.exports)

    def _typed_difference(self, move: Move, abi_class: str) -> AbiDifference | None:
        """What a move changes on the first platform of a class on which types were looked at."""
        platforms = [name for name in self._of_class(abi_class) if name != move.platform]
        return next((each for each in self._differences(move, platforms) if not each.untyped), None)

    def typed(self, recipe: str, release: str, platform: str) -> Abi | None:
        """The ABI of a release with types: of the platform itself if there is one, else of its class, else of any."""
        platforms = dict.fromkeys([platform, *self._same_class(platform), *sorted(self._catalog.toolchains)])
        abis = (self._abi(recipe, release, name) for name in platforms)
        return next((abi for abi in abis if abi is not None and abi.typed), None)

    def _differences(self, move: Move, platforms: Iterable[str]) -> Iterator[AbiDifference]:
        """The difference as each platform tells it."""
        for platform in platforms:
            new = self._abi(move.recipe, move.newer, platform)
            old = next(self._older(move, platform), None) if new else None
            if old is not None and new is not None:
                yield compare(old, new)

    def _older(self, move: Move, platform: str) -> Iterator[Abi]:
        """The ABI of the older release; if that is not known and the newer one begins another epoch, of the next
        release of its own, which has all of it. Within an epoch that would hide what came in between."""
        releases = [release.version for release in of_epoch(self._catalog.recipes[move.recipe].recipe, move.older)]
        at = releases.index(move.older) if move.older in releases else len(releases)
        later = () if move.newer in releases else releases[at + 1 :]
        for version in (move.older, *later):
            abi = self._abi(move.recipe, version, platform)
            if abi is not None:
                yield abi

    def _abi(self, recipe: str, release: str, platform: str) -> Abi | None:
        """Pinned for the very platform, or measured."""
        pinned = self._pins(recipe).releases.get(release, {}).get(platform)
        if pinned is not None:
            return pinned
        step = self._steps.get(f"{recipe}@{release}/{platform}")
        if step is None:
            return None
        return measure.kept(step, self._settings, self._catalog.recipes[recipe].recipe)

    def _same_class(self, platform: str) -> list[str]:
        """The other platforms that share ABIs with one, sorted."""
        tool = self._catalog.toolchains.get(platform)
        shared = self._of_class(surface.class_for(tool.binary, tool.bits)) if tool else []
        return [name for name in shared if name != platform]

    def _of_class(self, abi_class: str) -> list[str]:
        """The platforms of a class, sorted."""
        toolchains = self._catalog.toolchains.items()
        return sorted(name for name, tool in toolchains if surface.class_for(tool.binary, tool.bits) == abi_class)


def _with_types(found: AbiDifference, typed: Sequence[AbiDifference]) -> AbiDifference:
    """What exports tell, and what other platforms tell of types. What only this platform exports has none there."""
    seen = frozenset.intersection(*(each.older.names for each in typed))
    unknown = frozenset().union(*(each.unknown for each in typed), found.older.names - seen)
    changes = dict.fromkeys((*found.changes, *(change for each in typed for change in each.changes)))
    return replace(found, changes=tuple(changes), untyped=(), unknown=found.unknown | (unknown & found.newer.names))
