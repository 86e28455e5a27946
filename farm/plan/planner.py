"""From a catalog and what is wanted to steps in order, each with its build key. Pure but for reading files' digests.

Libraries that are asked for build their newest release. What is *linked to* is the oldest release that meets every
requirement on the way (DESIGN 6: build against the oldest, run with the newest), so a new compatible release changes
no dependent's key. Nothing here recurses: catalogs may be deep.
"""

from __future__ import annotations

import difflib
import gc
import graphlib
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from farm.errors import PlanError, UsageError
from farm.model.plan import Impossible, KeyInput, Plan, Step
from farm.model.recipe import Recipe, Release
from farm.model.toolchain import Toolchain
from farm.plan import keys
from farm.plan.effective import impossible, matches, matching_rows, matching_variants, merged
from farm.plan.requirements import HostRequirement, oldest_first, parse_host, parse_version
from farm.plan.values import CatalogValues, RecipeValues, Wanted

_PYTHON = re.compile(r"(?:cp)?(\d)\.?(\d+)")


def python_tag(text: str) -> str:
    """``3.11`` or ``cp311`` as wheels spell it. Raises UsageError."""
    match = _PYTHON.fullmatch(text)
    if not match:
        raise UsageError(f"{text!r} is not a Python version", where="--python", fix="write it like 3.11")
    return f"cp{match[1]}{match[2]}"


def plan(catalog: CatalogValues, wanted: Wanted) -> Plan:
    """Plan the wanted recipes and all they are built against.

    Raises UsageError for names that are not in the catalog, PlanError for a cycle or requirements that no release
    meets together.
    """
    platforms = _wanted_platforms(catalog, wanted.platforms)
    asked = _wanted_recipes(catalog, wanted.recipes)
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A recipe with its requirements resolved.

    `closure` are the recipes it is built against, each before those that need it; `against` the release of each.
    `telling` are those whose keys are inputs: what is required directly, whose keys hold all below them, and what is
    taken in another release than those were built against.
    `releases` are its own, oldest first. `bounds` are the requirements of the whole closure on recipes that leave a
    choice, with who asks.
    """

    name: str
    values: RecipeValues
    releases: tuple[Release, ...]
    direct: tuple[str, ...]
    closure: tuple[str, ...]
    against: Mapping[str, Release]
    telling: tuple[str, ...]
    bounds: Mapping[str, frozenset[tuple[str, HostRequirement]]]

    @property
    def recipe(self) -> Recipe:
        return self.values.recipe


def resolve(catalog: CatalogValues, roots: Iterable[str]) -> dict[str, Node]:
    """The recipes that `roots` need, in an order in which each comes after all it needs."""
    direct = _reachable(catalog, roots)
    graph = {name: [required for required, _ in direct[name]] for name in sorted(direct)}
    try:
        order = list(graphlib.TopologicalSorter(graph).static_order())
    except graphlib.CycleError as error:
        raise PlanError(
            f"recipes require each other: {show_cycle(error.args[1])}", fix="remove one of these requirements"
        ) from None
    nodes: dict[str, Node] = {}
    for name in order:
        nodes[name] = _node(name, catalog.recipes[name], direct[name], nodes)
    return nodes


def show_cycle(names: Iterable[str]) -> str:
    """A cycle as graphlib gives it (each name required by the next) in the direction of requirements."""
    return " -> ".join(reversed(list(names)))


def _reachable(catalog: CatalogValues, roots: Iterable[str]) -> dict[str, list[tuple[str, HostRequirement]]]:
    direct: dict[str, list[tuple[str, HostRequirement]]] = {}
    waiting = list(roots)
    while waiting:
        name = waiting.pop()
        if name in direct:
            continue
        direct[name] = found = []
        for text in catalog.recipes[name].recipe.requires.host:
            requirement = parse_host(text)
            provider = catalog.providers.get(requirement.name)
            if provider is None:
                raise PlanError(f"{name} requires {requirement.name}, which no recipe provides", where=name)
            found.append((provider, requirement))
            waiting.append(provider)
    return direct


def _node(name: str, values: RecipeValues, direct: list[tuple[str, HostRequirement]], done: Mapping[str, Node]) -> Node:
    closure: dict[str, None] = {}
    bounds: dict[str, frozenset[tuple[str, HostRequirement]]] = {}
    for provider, requirement in direct:
        node = done[provider]
        closure.update(dict.fromkeys(node.closure))
        closure[provider] = None
        for target, rules in node.bounds.items():
            bounds[target] = bounds.get(target, frozenset()) | rules
        if len(node.releases) > 1 or requirement.specifier:
            bounds[provider] = bounds.get(provider, frozenset()) | {(name, requirement)}
    names = tuple(dict.fromkeys(provider for provider, _ in direct))
    against = {target: _oldest(name, done[target], bounds.get(target)) for target in closure}
    return Node(
        name=name,
        values=values,
        releases=oldest_first(values.recipe),
        direct=names,
        closure=tuple(closure),
        against=against,
        telling=_telling(names, against, done),
        bounds=bounds,
    )


def _telling(direct: tuple[str, ...], against: Mapping[str, Release], done: Mapping[str, Node]) -> tuple[str, ...]:
    told = set(direct)
    for name in direct:
        for target, release in done[name].against.items():
            if against[target] is not release:
                told.add(target)
    return tuple(target for target in against if target in told)


def _oldest(name: str, target: Node, bounds: frozenset[tuple[str, HostRequirement]] | None) -> Release:
    """The oldest release of `target` that everything in the closure of `name` accepts."""
    if not bounds:
        return target.releases[0]
    for release in target.releases:
        if all(requirement.meets(release.version) for _, requirement in bounds):
            return release
    asked = ", ".join(sorted(f"{who} requires {requirement}" for who, requirement in bounds))
    there = ", ".join(release.version for release in target.releases)
    raise PlanError(
        f"no release of {target.name} will do: {asked}; the recipe has {there}",
        where=name,
        fix=f"add a release to recipes/{target.name}/recipe.toml or loosen the requirement",
    )


def _releases(
    nodes: Mapping[str, Node], asked: Mapping[str, Release | None], *, newest: bool
) -> dict[str, dict[str, Release]]:
    """Which releases of which recipe are built, by version: asked for, linked to, or tested with."""
    needed: dict[str, dict[str, Release]] = {name: {} for name in nodes}
    for name, release in asked.items():
        chosen = release or nodes[name].releases[-1]
        needed[name][chosen.version] = chosen
    for name in reversed(tuple(nodes)):  # all that need a recipe come before it
        node = nodes[name]
        for target, linked in node.against.items():
            needed[target][linked.version] = linked
            if newest:
                last = nodes[target].releases[-1]
                needed[target][last.version] = last
    return needed


_NOTHING = KeyInput(label="", digest="")


class _Steps:
    """Makes the steps; keeps what many steps share: the digests of a recipe's and a toolchain's inputs."""

    def __init__(self, catalog: CatalogValues, wanted: Wanted, platforms: list[str]) -> None:
        self._platforms = platforms
        self._pythons = [python_tag(python) for python in dict.fromkeys(wanted.pythons)]
        self._sdk = wanted.sdk
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
            self._add(node, ordered, buildable, steps)
        return Plan(steps=tuple(steps), impossible=tuple(cannot))

    def _reason(self, node: Node, platform: str) -> str:
        if node.recipe.when and (reason := impossible(node.recipe, platform)):
            return reason
        for name in node.direct:
            if reason := self._reasons.get((name, platform), ""):
                return f"requires {name}: {reason}"
        return ""

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
                    pythons = [node.recipe.build.abi3] if node.recipe.build.abi3 else self._pythons
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
                    baseline=node.releases[0].version,
                )
            )
        return self._shared[shared]

    def _python_part(self, python: str, platform: str) -> tuple[KeyInput, ...]:
        return keys.python_inputs(python, self._sdk.get(f"{python}/{platform}") or self._sdk.get(python, ""))


def _grouped(inputs: tuple[KeyInput, ...]) -> tuple[tuple[KeyInput, ...], str]:
    return inputs, keys.group_digest(inputs)


def _wanted_recipes(catalog: CatalogValues, wanted: Iterable[str]) -> dict[str, Release | None]:
    """Recipe names, sorted, with the one release asked for or None for the newest."""
    asked: dict[str, Release | None] = {}
    for text in wanted:
        name, _, version = text.partition("@")
        provider = catalog.providers.get(name)
        if provider is None:
            raise UsageError(f"there is no recipe {name!r}{_close(name, catalog.providers)}", fix="`farm recipe list`")
        asked[provider] = _release(catalog.recipes[provider].recipe, version) if version else None
    return dict(sorted(asked.items())) if asked else dict.fromkeys(sorted(catalog.recipes))


def _release(recipe: Recipe, version: str) -> Release:
    for release in recipe.release:
        if release.version == version:
            return release
    there = ", ".join(release.version for release in recipe.release)
    raise UsageError(f"{recipe.name} has no release {version!r}", fix=f"its releases are {there}")


def _wanted_platforms(catalog: CatalogValues, wanted: Iterable[str]) -> list[str]:
    toolchains: Mapping[str, Toolchain] = catalog.toolchains
    if not toolchains:
        raise PlanError("the catalog has no toolchain", where="toolchains/", fix="add a toolchain file")
    chosen: set[str] = set()
    globs = list(wanted)
    for glob in globs:
        found = [platform for platform in toolchains if matches(platform, (glob,))]
        if not found:
            raise UsageError(
                f"there is no platform {glob!r}{_close(glob, toolchains)}", fix="`farm toolchain list` shows them"
            )
        chosen.update(found)
    return sorted(chosen if globs else toolchains)


def _close(name: str, names: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(names), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""
