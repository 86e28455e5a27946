"""What must hold between recipes: names, requirements, cycles, shared names."""

from __future__ import annotations

import graphlib
from collections.abc import Iterable, Iterator, Mapping

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion

from farm.catalog.faults import Fault, did_you_mean
from farm.catalog.values import LoadedRecipe
from farm.model.binary import BinaryFormat
from farm.model.names import shared_name
from farm.model.recipe import Recipe
from farm.plan.epochs import epoch_of
from farm.plan.graph import show_cycle
from farm.plan.requirements import HostRequirement, parse_host

Recipes = Mapping[str, LoadedRecipe]


def providers(recipes: Recipes, faults: list[Fault]) -> dict[str, str]:
    """Every recipe name and provided name -> recipe name; names that two recipes claim go to `faults`."""
    found = {name: name for name in recipes}
    for name, loaded in recipes.items():
        for i, provided in enumerate(loaded.recipe.provides):
            other = found.setdefault(provided, name)
            if other == provided and provided in recipes:
                faults.append(_fault(name, ("provides", i), f"{provided!r} is a recipe of its own"))
            elif other != name:
                faults.append(_fault(name, ("provides", i), f"{provided!r} is provided by {other} already"))
    return found


def check(recipes: Recipes, by_name: Mapping[str, str], unread: Iterable[str]) -> list[Fault]:
    """Faults between recipes. Requirements on `unread` recipes (their own faults are reported) are not judged."""
    faults = [*_requirements(recipes, by_name, frozenset(unread)), *_distributions(recipes)]
    faults += [*_dependents(recipes, frozenset(unread)), *_shared_names(recipes)]
    faults += _cycles(recipes, by_name)
    return faults


def _fault(name: str, at: tuple[str | int, ...], why: str) -> Fault:
    return Fault(file=f"recipes/{name}/recipe.toml", at=at, why=why)


def _hosts(loaded: LoadedRecipe) -> Iterator[tuple[int, HostRequirement]]:
    for i, text in enumerate(loaded.recipe.requires.host):
        try:
            yield i, parse_host(text)
        except ValueError:
            continue  # a fault of the recipe itself


def _requirements(recipes: Recipes, by_name: Mapping[str, str], unread: frozenset[str]) -> Iterator[Fault]:
    for name, loaded in recipes.items():
        for i, requirement in _hosts(loaded):
            if requirement.name in unread:
                continue
            provider = by_name.get(requirement.name)
            if provider is None:
                near = did_you_mean(requirement.name, by_name)
                yield _fault(name, ("requires", "host", i), f"no recipe provides {requirement.name!r}{near}")
            elif why := _unusable(recipes[provider], requirement):
                yield _fault(name, ("requires", "host", i), why)


def _dependents(recipes: Recipes, unread: frozenset[str]) -> Iterator[Fault]:
    """What a dependent needs when it runs is another dependent of the farm."""
    for name, loaded in recipes.items():
        for i, other in enumerate(loaded.recipe.requires.dependents):
            at = ("requires", "dependents", i)
            if loaded.recipe.kind == "library":
                yield _fault(name, at, "does not belong to a library: no Python package runs with it")
            elif other not in recipes and other not in unread:
                yield _fault(name, at, f"there is no recipe {other!r}{did_you_mean(other, recipes)}")
            elif other == name:
                yield _fault(name, at, "is the recipe itself")
            elif other in recipes and recipes[other].recipe.kind == "library":
                yield _fault(name, at, f"{other} is a native library; what is linked to goes to `requires.host`")


def _unusable(target: LoadedRecipe, requirement: HostRequirement) -> str:
    recipe = target.recipe
    if recipe.kind != "library":
        return f"{recipe.name} is not a library; Python packages go to `requires.python`"
    try:
        if any(requirement.meets(release.version) for release in recipe.release):
            return ""
    except InvalidVersion:
        return ""  # a fault of that recipe
    there = ", ".join(release.version for release in recipe.release)
    return f"no release of {recipe.name} meets '{requirement}' (it has {there})"


def _distributions(recipes: Recipes) -> Iterator[Fault]:
    seen: dict[str, str] = {}
    for name, loaded in recipes.items():
        distribution = canonicalize_name(loaded.recipe.distribution)
        other = seen.setdefault(distribution, name)
        if other != name:
            yield _fault(name, ("name",), f"makes the distribution {distribution!r}, as {other} does")


def _shared_names(recipes: Recipes) -> Iterator[Fault]:
    """Two libraries of one link name could not be told apart at link time; in one epoch they would be the same file.

    A shared name is made of link name and epoch (farm.model.names), so this keeps shared names apart over the farm.
    """
    libraries: dict[str, str] = {}
    pkgconfigs: dict[str, str] = {}
    for name, loaded in recipes.items():
        for i, library in enumerate(loaded.recipe.products.library):
            other = libraries.setdefault(library.name, name)
            at = ("products", "library", i)
            if other != name:
                yield _fault(name, (*at, "name"), _clash(library.name, loaded.recipe, recipes[other].recipe))
            pkgconfig = library.pkgconfig or library.name
            other = pkgconfigs.setdefault(pkgconfig, name)
            if other != name and library.pkgconfig:
                yield _fault(name, (*at, "pkgconfig"), f"{pkgconfig!r} is the .pc file of {other} already")


def _clash(library: str, mine: Recipe, other: Recipe) -> str:
    if same := _epochs(mine) & _epochs(other):
        file = shared_name(library, min(same), BinaryFormat.ELF)
        return f"the shared name {file} is that of {other.name}; give one of the libraries another name"
    return f"-l{library} is the link name of {other.name} already; give one of the libraries another name"


def _epochs(recipe: Recipe) -> set[int]:
    return {epoch_of(recipe, release.version) for release in recipe.release} if recipe.abi is not None else set()


def _cycles(recipes: Recipes, by_name: Mapping[str, str]) -> Iterator[Fault]:
    """One fault per group of recipes that require each other, with the way round."""
    graph: dict[str, set[str]] = {
        name: {by_name[r.name] for _, r in _hosts(loaded) if r.name in by_name} for name, loaded in recipes.items()
    }
    while True:
        try:
            graphlib.TopologicalSorter({name: sorted(graph[name]) for name in sorted(graph)}).prepare()
        except graphlib.CycleError as error:
            ring: list[str] = error.args[1]
            yield _fault(ring[-1], ("requires", "host"), f"recipes require each other: {show_cycle(ring)}")
            for name in set(ring):
                del graph[name]
            for needed in graph.values():
                needed.difference_update(ring)
        else:
            return
