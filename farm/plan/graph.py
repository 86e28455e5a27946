"""Who requires whom: `requires.host` of a catalog as a graph of numbers. Nothing here recurses. Pure."""

from __future__ import annotations

import graphlib
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from farm.errors import PlanError
from farm.plan.entry import Entry
from farm.plan.requirements import HostRequirement, parse_host
from farm.plan.values import CatalogValues, RecipeValues


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

    def of(self, entry: Entry) -> list[Host]:
        """The entries of a recipe. Raises PlanError for what no recipe provides."""
        known = self._known
        return [known.get(text) or self.read(entry.name, text) for text in entry.hosts]

    def bounded(self, texts: Sequence[str]) -> Sequence[Host]:
        """Those of the entries of a recipe for which not every release will do. All of them were read before, but for
        names of recipes, which are not bounded."""
        bounded = self._bounded
        if not bounded or bounded.keys().isdisjoint(texts):
            return ()
        return [bounded[text] for text in texts if text in bounded]

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
        if not self._catalog.recipes[provider].entry.library:
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

    recipes: list[RecipeValues]
    numbers: dict[str, int]
    direct: list[tuple[int, ...]]


def read_graph(catalog: CatalogValues, hosts: Hosts, roots: Iterable[str]) -> Graph:
    """The graph of all that `roots` need. Raises PlanError for a cycle or what no recipe provides."""
    names, recipes, required = _required(catalog, hosts, roots)
    levels = _levels(required)
    if levels is None:
        raise cycle({names[place]: [names[each] for each in required[place]] for place in _by_name(names)})
    order = sorted(_by_name(names), key=levels.__getitem__)
    numbers = [0] * len(names)
    for number, place in enumerate(order):
        numbers[place] = number
    number_of = numbers.__getitem__
    return Graph(
        recipes=[recipes[place] for place in order],
        numbers={names[place]: number for number, place in enumerate(order)},
        direct=[tuple(map(number_of, required[place])) for place in order],
    )


def _required(
    catalog: CatalogValues, hosts: Hosts, roots: Iterable[str]
) -> tuple[list[str], list[RecipeValues], list[Iterable[int]]]:
    """Names as they are met, their recipes, and the places among them of what each requires."""
    names = list(roots)
    recipes = [catalog.recipes[name] for name in names]
    # By text. Most say just the name of a library: then it is the very text that is the name in its entry.
    places = {each.entry.name: place for place, each in enumerate(recipes) if each.entry.library}
    place_of = places.__getitem__
    required: list[Iterable[int]] = []
    for name, values in zip(names, recipes, strict=True):  # grow while they are read
        entry = values.entry
        try:
            found = dict.fromkeys(map(place_of, entry.hosts))
        except KeyError:
            for text in entry.hosts:
                if text not in places:
                    provider = hosts.read(name, text).provider
                    place = places[text] = places.setdefault(provider, len(names))
                    if place == len(names):
                        names.append(provider)
                        recipes.append(catalog.recipes[provider])
            found = dict.fromkeys(map(place_of, entry.hosts))
        required.append(found)
    return names, recipes, required


_NEW, _OPEN = -2, -1


def _levels(required: Sequence[Iterable[int]]) -> list[int] | None:
    """The level of each place; None if there is a cycle."""
    levels = [_NEW] * len(required)
    for root in range(len(required)):
        stack = [root]
        while stack:
            place = stack[-1]
            if levels[place] >= 0:  # already there, or met on two ways
                stack.pop()
                continue
            levels[place] = highest = _OPEN
            for each in required[place]:
                level = levels[each]
                if level > highest:
                    highest = level
                elif level == _NEW:
                    stack.append(each)
                elif level == _OPEN:
                    return None
            if stack[-1] == place:
                levels[place] = highest + 1
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
