"""All steps of one recipe as one value: what they share is there once. Pure but for reading files' digests."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from farm.errors import PlanError
from farm.model.plan import Impossible, KeyInput
from farm.model.recipe import Recipe
from farm.model.recipe_source import Release
from farm.model.toolchain import Toolchain
from farm.plan import keys
from farm.plan.effective import impossible, merged
from farm.plan.entry import Part
from farm.plan.lanes import LaneMaker, Lanes
from farm.plan.parts import part
from farm.plan.requirements import bound, python_version
from farm.plan.resolve import Node
from farm.plan.selection import python_tag
from farm.plan.values import Wanted

_NOWHERE: Mapping[str, str] = {}
_NO_PYTHON = (None,)


class Block(NamedTuple):
    """The steps of one recipe: `releases`, oldest first, x `lanes`.

    `parts` has one entry per release. `reasons` says by platform why it is impossible there, which is handed on to
    all that need it; `impossible` says the same for people, with Pythons that a platform lacks.
    """

    node: Node
    releases: tuple[Release, ...]
    lanes: Lanes
    parts: tuple[Part, ...]
    reasons: Mapping[str, str]
    impossible: tuple[Impossible, ...]

    @property
    def size(self) -> int:
        """How many steps it has."""
        return len(self.releases) * len(self.lanes.tails)

    def inputs(self, release: int, lane: int) -> tuple[KeyInput, ...]:
        """The inputs that the recipe and its files give to a step."""
        node, chosen = self.node, self.releases[release]
        effective = merged(node.recipe, chosen, self.lanes.platforms[lane])
        return keys.recipe_inputs(node.recipe, chosen, effective, node.values.file_digest, abi=self.parts[release].abi)


class BlockMaker:
    """Makes blocks for what is wanted: platforms, and Pythons for dependents."""

    def __init__(self, toolchains: Mapping[str, Toolchain], wanted: Wanted, platforms: Sequence[str]) -> None:
        self._platforms = tuple(platforms)
        self._pythons = tuple(python_tag(python) for python in dict.fromkeys(wanted.pythons))
        self._without = wanted.without
        self._lanes = LaneMaker(toolchains, wanted.sdk, wanted.without)
        self._everywhere = self._lanes.lanes(self._platforms, _NO_PYTHON)

    def block(self, node: Node, releases: tuple[Release, ...], troubled: Sequence[Block]) -> Block:
        """The block of a recipe. `troubled` are the blocks of what it requires directly and is impossible somewhere.

        Raises PlanError for a dependent if no Python is wanted.
        """
        entry = node.values.entry
        if entry.plain is not None and entry.library and not troubled:
            return Block(node, releases, self._everywhere, (entry.plain,), _NOWHERE, ())
        recipe = node.recipe
        reasons = self._reasons(node, troubled) if troubled or recipe.when else _NOWHERE
        platforms = self._platforms
        if reasons:
            platforms = tuple([platform for platform in platforms if platform not in reasons])
        pythons = _NO_PYTHON if recipe.kind == "library" else self._pythons_of(recipe)
        unfit = _unfit(recipe, pythons) if recipe.requires.pythons else ()
        lanes = self._lanes.lanes(platforms, [python for python in pythons if python not in unfit])
        cannot: tuple[Impossible, ...] = ()
        if reasons or pythons is not _NO_PYTHON:
            cannot = tuple(self._impossible(recipe, platforms, pythons, reasons, unfit))
        parts = tuple([part(node.values, release, lanes.platforms) for release in releases])
        return Block(node, releases, lanes, parts, reasons, cannot)

    def _impossible(
        self,
        recipe: Recipe,
        platforms: Iterable[str],
        pythons: Iterable[str | None],
        reasons: Mapping[str, str],
        unfit: Collection[str | None],
    ) -> Iterator[Impossible]:
        for platform, reason in reasons.items():
            yield Impossible(recipe=recipe.name, platform=platform, reason=reason)
        for platform in platforms:
            for python in pythons:
                why = f"it needs Python {recipe.requires.pythons}" if python in unfit else ""
                if reason := why or self._without.get(f"{python}/{platform}", ""):
                    yield Impossible(recipe=recipe.name, platform=platform, reason=reason, python=python)

    def _pythons_of(self, recipe: Recipe) -> tuple[str | None, ...]:
        if not (self._pythons or recipe.build.abi3):
            raise PlanError(f"{recipe.name} is built per Python, and none is given", fix="add `--python 3.11`")
        return (recipe.build.abi3,) if recipe.build.abi3 else self._pythons

    def _reasons(self, node: Node, troubled: Sequence[Block]) -> Mapping[str, str]:
        """Why it cannot be built for some of the platforms: its own reason, else that of the first requirement."""
        recipe, found = node.recipe, {}
        for platform in self._platforms:
            reason = impossible(recipe, platform) if recipe.when else ""
            for block in troubled:
                if not reason and platform in block.reasons:
                    reason = f"requires {block.node.name}: {block.reasons[platform]}"
            if reason:
                found[platform] = reason
        return found


def _unfit(recipe: Recipe, pythons: Iterable[str | None]) -> frozenset[str | None]:
    """The Pythons that a recipe cannot be built for."""
    fit = bound(recipe.requires.pythons)
    return frozenset([python for python in pythons if python and not fit.contains(python_version(python))])
