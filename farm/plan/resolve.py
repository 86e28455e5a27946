"""What recipes are built against: the closure of their requirements, and the release of each that is linked to.

What is *linked to* is a release that meets every requirement on the way: of the newest ABI epoch that has one, the
oldest. Who is built against the oldest runs with all newer ones of the epoch, so a new compatible release changes no
dependent's key. Nothing here recurses: catalogs may be deep.
"""

from __future__ import annotations

import graphlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from farm.errors import PlanError
from farm.model.recipe import Recipe, Release
from farm.plan.epochs import epoch_of, in_order_of_choice
from farm.plan.requirements import HostRequirement, oldest_first, parse_host
from farm.plan.values import CatalogValues, RecipeValues


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A recipe with its requirements resolved.

    `closure` are the recipes it is built against, each before those that need it; `against` the release of each.
    `telling` are those whose keys are inputs: what is required directly, whose keys hold all below them, and what is
    taken in another release than those were built against.
    `releases` are its own, in the order in which dependents take them: the newest ABI epoch first, in it the oldest
    release; `newest` is the last by version. `bounds` are the requirements of the whole closure on recipes that leave
    a choice, with who asks.
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
        """The recipe itself, without its files."""
        return self.values.recipe

    @property
    def newest(self) -> Release:
        """The newest release."""
        return oldest_first(self.recipe)[-1]


def resolve(catalog: CatalogValues, roots: Iterable[str]) -> dict[str, Node]:
    """The recipes that `roots` need, in an order in which each comes after all it needs.

    Raises PlanError for a cycle, a requirement that nothing provides, or requirements that no release meets together.
    """
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
                raise PlanError(
                    f"{name} requires {requirement.name}, which no recipe provides",
                    where=name,
                    fix="`farm recipe list` shows what there is",
                )
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
        releases=in_order_of_choice(values.recipe),
        direct=names,
        closure=tuple(closure),
        against=against,
        telling=_telling(name, names, against, done),
        bounds=bounds,
    )


def _telling(
    name: str, direct: tuple[str, ...], against: Mapping[str, Release], done: Mapping[str, Node]
) -> tuple[str, ...]:
    told = set(direct)
    for via in direct:
        for target, release in done[via].against.items():
            if against[target] is not release:
                _require_one_epoch(name, done[target].recipe, against[target], via, release)
                told.add(target)
    return tuple(target for target in against if target in told)


def _require_one_epoch(name: str, target: Recipe, mine: Release, via: str, its: Release) -> None:
    """What `name` is built against may not be built against another ABI epoch of a library than itself: both would be
    in one process, and no two native wheels of a library can be installed together."""
    epoch, other = epoch_of(target, mine.version), epoch_of(target, its.version)
    if epoch != other:
        raise PlanError(
            f"{name} is built against {target.name} {mine.version} (ABI epoch {epoch}), but {via}, which it requires, "
            f"against {target.name} {its.version} (ABI epoch {other})",
            where=name,
            fix=f"give recipes/{via}/recipe.toml the same bound on {target.name}, or loosen the one of {name}",
        )


def _oldest(name: str, target: Node, bounds: frozenset[tuple[str, HostRequirement]] | None) -> Release:
    """The first release of `target` that everything in the closure of `name` accepts."""
    if not bounds:
        return target.releases[0]
    for release in target.releases:
        if all(requirement.meets(release.version) for _, requirement in bounds):
            return release
    asked = ", ".join(sorted(f"{who} requires {requirement}" for who, requirement in bounds))
    there = ", ".join(release.version for release in oldest_first(target.recipe))
    raise PlanError(
        f"no release of {target.name} will do: {asked}; the recipe has {there}",
        where=name,
        fix=f"add a release to recipes/{target.name}/recipe.toml or loosen the requirement",
    )
