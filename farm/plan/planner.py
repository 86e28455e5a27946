"""From a catalog and what is wanted to steps in order, each with its build key. Pure but for reading files' digests.

Libraries that are asked for build their newest release; what dependents are linked to says `farm.plan.resolve`.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from farm.errors import PlanError
from farm.model.plan import Impossible, KeyInput, Plan, Step
from farm.model.recipe import Recipe, Release
from farm.plan import keys
from farm.plan.effective import impossible, matching_rows, matching_variants, merged
from farm.plan.epochs import epoch_of, of_epoch, older_in_epoch
from farm.plan.requirements import parse_version
from farm.plan.resolve import Node, resolve
from farm.plan.selection import python_tag, wanted_platforms, wanted_recipes
from farm.plan.values import CatalogValues, Wanted


def plan(catalog: CatalogValues, wanted: Wanted) -> Plan:
    """Plan the wanted recipes and all they are built against.

    Raises UsageError for names that are not in the catalog, PlanError for a cycle or requirements that no release
    meets together.
    """
    platforms = wanted_platforms(catalog, wanted.platforms)
    asked = wanted_recipes(catalog, wanted.recipes)
    with _no_collection():
        nodes = resolve(catalog, asked)
        releases = _releases(nodes, asked, newest=wanted.newest)
        return _Steps(catalog, wanted, platforms).make(nodes, releases)


@contextmanager
def _no_collection() -> Iterator[None]:
    """Large plans are millions of objects without cycles: looking for cycles takes half of the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _releases(
    nodes: Mapping[str, Node], asked: Mapping[str, Release | None], *, newest: bool
) -> dict[str, dict[str, Release]]:
    """Which releases of which recipe are built, by version: asked for, linked to, or tested with."""
    needed: dict[str, dict[str, Release]] = {name: {} for name in nodes}
    for name, release in asked.items():
        chosen = release or nodes[name].newest
        needed[name][chosen.version] = chosen
    for name in reversed(tuple(nodes)):  # all that need a recipe come before it
        node = nodes[name]
        for target, linked in node.against.items():
            needed[target][linked.version] = linked
            if newest:
                last = of_epoch(nodes[target].recipe, linked.version)[-1]
                needed[target][last.version] = last
    return needed


_NOTHING = KeyInput(label="", digest="")


class _Steps:
    """Makes the steps; keeps what many steps share: the digests of a recipe's and a toolchain's inputs."""

    def __init__(self, catalog: CatalogValues, wanted: Wanted, platforms: list[str]) -> None:
        self._platforms = platforms
        self._pythons = [python_tag(python) for python in dict.fromkeys(wanted.pythons)]
        self._sdk = wanted.sdk
        self._without = wanted.without
        self._toolchains = {
            (platform, dependent): _grouped(keys.toolchain_inputs(toolchain, dependent=dependent))
            for platform, toolchain in catalog.toolchains.items()
            if platform in set(platforms)
            for dependent in (False, True)
        }
        self._shared: dict[object, tuple[tuple[KeyInput, ...], str]] = {}
        # Of every library that is built: its step's id and what it is as an input, by platform and place.
        self._places: dict[tuple[str, str], int] = {}
        self._ids: dict[str, list[str]] = {platform: [] for platform in platforms}
        self._linked: dict[str, list[KeyInput]] = {platform: [] for platform in platforms}
        self._reasons: dict[tuple[str, str], str] = {}

    def make(self, nodes: Mapping[str, Node], releases: Mapping[str, Mapping[str, Release]]) -> Plan:
        """All steps of these releases; `nodes` come in an order in which each follows all it needs."""
        steps: list[Step] = []
        cannot: list[Impossible] = []
        for name, node in nodes.items():
            if node.recipe.kind == "dependent" and not (self._pythons or node.recipe.build.abi3):
                raise PlanError(f"{name} is built per Python, and none is given", fix="add `--python 3.11`")
            self._shared.clear()  # what it holds is one recipe's
            ordered = sorted(releases[name].values(), key=lambda release: parse_version(release.version))
            buildable = []
            for platform in self._platforms:
                if reason := self._reason(node, platform):
                    self._reasons[name, platform] = reason
                    cannot.append(Impossible(recipe=name, platform=platform, reason=reason))
                else:
                    buildable.append(platform)
            cannot += self._pythons_lacking(node.recipe, buildable)
            self._add(node, ordered, buildable, steps)
        return Plan(steps=tuple(steps), impossible=tuple(cannot))

    def _reason(self, node: Node, platform: str) -> str:
        if node.recipe.when and (reason := impossible(node.recipe, platform)):
            return reason
        for name in node.direct:
            if reason := self._reasons.get((name, platform), ""):
                return f"requires {name}: {reason}"
        return ""

    def _pythons_of(self, recipe: Recipe) -> Sequence[str]:
        if recipe.kind == "library":
            return ()
        return (recipe.build.abi3,) if recipe.build.abi3 else self._pythons

    def _pythons_lacking(self, recipe: Recipe, platforms: list[str]) -> Iterator[Impossible]:
        for platform in platforms:
            for python in self._pythons_of(recipe):
                if reason := self._without.get(f"{python}/{platform}"):
                    yield Impossible(recipe=recipe.name, platform=platform, reason=reason, python=python)

    def _add(self, node: Node, ordered: list[Release], platforms: list[str], steps: list[Step]) -> None:
        needed = [self._places[name, linked.version] for name, linked in node.against.items()]
        telling = [self._places[name, node.against[name].version] for name in node.telling]
        if node.recipe.kind == "library":
            for release in ordered:
                self._reserve(node.name, release)
        for platform in platforms:
            ids, linked = self._ids[platform], self._linked[platform]
            requires = tuple([ids[place] for place in needed])
            against = tuple([linked[place] for place in telling])
            for release in ordered:
                if node.recipe.kind == "library":
                    step = self._step(node, release, platform, None, requires, against)
                    place = self._places[node.name, release.version]
                    ids[place] = step.id
                    linked[place] = keys.requires_input(node.name, release.version, step.key)
                    steps.append(step)
                else:
                    pythons = [py for py in self._pythons_of(node.recipe) if f"{py}/{platform}" not in self._without]
                    steps += [self._step(node, release, platform, py, requires, against) for py in pythons]

    def _reserve(self, name: str, release: Release) -> None:
        """A place for a library's step on every platform; it stays empty where the library is impossible."""
        self._places[name, release.version] = len(self._places)
        for platform in self._platforms:
            self._ids[platform].append("")
            self._linked[platform].append(_NOTHING)

    def _step(
        self,
        node: Node,
        release: Release,
        platform: str,
        python: str | None,
        requires: tuple[str, ...],
        against: tuple[KeyInput, ...],
    ) -> Step:
        recipe_inputs, recipe_digest = self._recipe_part(node, release, platform)
        toolchain_inputs, toolchain_digest = self._toolchains[platform, python is not None]
        own = against + self._python_part(python, platform) if python else against
        tail = f"/{platform}/{python}" if python else f"/{platform}"
        return Step(
            id=f"{node.name}@{release.version}{tail}",
            slot=f"{node.name}{tail}",
            recipe=node.name,
            version=release.version,
            platform=platform,
            kind=node.recipe.kind,
            python=python,
            requires=requires,
            key=keys.compose(recipe_digest, toolchain_digest, own),
            inputs=recipe_inputs + toolchain_inputs + own,
        )

    def _recipe_part(self, node: Node, release: Release, platform: str) -> tuple[tuple[KeyInput, ...], str]:
        recipe = node.recipe
        rows = matching_rows(recipe, platform) if recipe.when else ()
        variants = matching_variants(recipe, platform) if recipe.variant else ()
        shared = (release.version, rows, variants)
        if shared not in self._shared:
            self._shared[shared] = _grouped(
                keys.recipe_inputs(
                    recipe,
                    release,
                    merged(recipe, release, platform),
                    node.values.file_digest,
                    abi=_release_abi(node, release) if node.recipe.abi is not None else None,
                )
            )
        return self._shared[shared]

    def _python_part(self, python: str, platform: str) -> tuple[KeyInput, ...]:
        return keys.python_inputs(python, self._sdk.get(f"{python}/{platform}") or self._sdk.get(python, ""))


def _release_abi(node: Node, release: Release) -> keys.ReleaseAbi:
    older = older_in_epoch(node.recipe, release.version)
    return keys.ReleaseAbi(
        epoch=epoch_of(node.recipe, release.version),
        baseline=older[0] if older else release.version,
        pinned=node.values.pinned_abis(older) if older else (),
    )


def _grouped(inputs: tuple[KeyInput, ...]) -> tuple[tuple[KeyInput, ...], str]:
    return inputs, keys.group_digest(inputs)
