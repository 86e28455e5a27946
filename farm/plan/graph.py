"""Who requires whom: `requires.host` of a catalog as a graph of numbers. Nothing here recurses. Pure."""

from __future__ import annotations

import graphlib
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from farm.errors import PlanError
from farm.model.recipe import Recipe
from farm.plan.requirements import HostRequirement, parse_host
from farm.plan.values import CatalogValues


class Host(NamedTuple):
    """An entry of `requires.host` as written, the recipe that provides it, and whether not every release will do."""

    provider: str
    text: str
    bounded: bool

    @property
    def requirement(self) -> HostRequirement:
        """The entry, parsed."""
        return parse_host(self.text)


class Hosts:
    """Reads `requires.host`; every text once."""

    def __init__(self, catalog: CatalogValues) -> None:
        self._catalog = catalog
        self._known: dict[str, Host] = {}
        self._bounded: dict[str, Host] = {}

    def of(self, name: str, recipe: Recipe) -> list[Host]:
        """The entries of a recipe. Raises PlanError for what no recipe provides."""
        known = self._known
        return [known.get(text) or self.read(name, text) for text in recipe.requires.host]

    def bounded(self, recipe: Recipe) -> Sequence[Host]:
        """Those entries of a recipe for which not every release will do. All of them were read before."""
        bounded = self._bounded
        if not bounded or bounded.keys().isdisjoint(recipe.requires.host):
            return ()
        return [bounded[text] for text in recipe.requires.host if text in bounded]

    def read(self, name: str, text: str) -> Host:
        """An entry of the recipe `name`. Raises PlanError for what no recipe provides."""
        provider, bounded = self._catalog.providers.get(text), False
        if provider is None:  # no bare name
            requirement = parse_host(text)
            provider, bounded = self._catalog.providers.get(requirement.name), bool(requirement.specifier)
        if provider is None:
            raise PlanError(
                f"{name} requires {parse_host(text).name}, which no recipe provides",
                where=name,
                fix="`farm recipe list` shows what there is",
            )
        if self._catalog.recipes[provider].recipe.kind != "library":
            raise PlanError(
                f"{name} requires {provider}, which is not a library",
                where=name,
                fix="Python packages go to `requires.python`",
            )
        self._known[text] = host = Host(provider, text, bounded)
        if bounded:
            self._bounded[text] = host
        return host


class Graph(NamedTuple):
    """Recipes by number, levels first, then names: `numbers` by name, and what each requires directly, as written.

    The level of a recipe is the length of the longest chain of requirements below it.
    """

    names: list[str]
    numbers: dict[str, int]
    direct: list[tuple[int, ...]]


def read_graph(catalog: CatalogValues, hosts: Hosts, roots: Iterable[str]) -> Graph:
    """The graph of all that `roots` need. Raises PlanError for a cycle or what no recipe provides."""
    names, required = _required(catalog, hosts, roots)
    order: list[int] = []
    for level in _levels(required):
        level.sort(key=names.__getitem__)
        order += level
    if len(order) < len(names):
        raise cycle({names[place]: [names[each] for each in required[place]] for place in _by_name(names)})
    numbers = [0] * len(names)
    for number, place in enumerate(order):
        numbers[place] = number
    ordered = [names[place] for place in order]
    return Graph(
        names=ordered,
        numbers={name: number for number, name in enumerate(ordered)},
        direct=[tuple(dict.fromkeys([numbers[each] for each in required[place]])) for place in order],
    )


def _required(catalog: CatalogValues, hosts: Hosts, roots: Iterable[str]) -> tuple[list[str], list[list[int]]]:
    """Names as they are met, and the places among them of what each requires."""
    names, recipes = list(roots), catalog.recipes
    places = {name: place for place, name in enumerate(names)}
    by_text: dict[str, int] = {}
    required: list[list[int]] = []
    for name in names:  # grows while it is read
        found = []
        for text in recipes[name].recipe.requires.host:
            place = by_text.get(text)
            if place is None:
                provider = hosts.read(name, text).provider
                place = by_text[text] = places.setdefault(provider, len(names))
                if place == len(names):
                    names.append(provider)
            found.append(place)
        required.append(found)
    return names, required


def _levels(required: Sequence[Sequence[int]]) -> list[list[int]]:
    """Places by level, lowest first. What is in a cycle, or requires something that is, has no level."""
    users: list[list[int]] = [[] for _ in required]
    for place, found in enumerate(required):
        for each in found:
            users[each].append(place)
    missing = list(map(len, required))
    level = [place for place, count in enumerate(missing) if not count]
    levels = []
    while level:
        levels.append(level)
        level = []
        for place in levels[-1]:
            for user in users[place]:
                missing[user] -= 1
                if not missing[user]:
                    level.append(user)
    return levels


def _by_name(names: Sequence[str]) -> list[int]:
    return sorted(range(len(names)), key=names.__getitem__)


def show_cycle(names: Iterable[str]) -> str:
    """A cycle as graphlib gives it (each name required by the next) in the direction of requirements."""
    return " -> ".join(reversed(list(names)))


def cycle(graph: Mapping[str, Iterable[str]]) -> PlanError:
    """The error that says which recipes require each other; `graph` has what each requires."""
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        return PlanError(
            f"recipes require each other: {show_cycle(error.args[1])}", fix="remove one of these requirements"
        )
    raise AssertionError("there is no cycle")
