"""What recipes are built against: the closure of their requirements, and the release of each that is linked to.

What is *linked to* is a release that meets every requirement on the way: of the newest ABI epoch that has one, the
oldest. Who is built against the oldest runs with all newer ones of the epoch, so a new compatible release changes no
dependent's key. Nothing here recurses: catalogs may be deep.

Recipes are numbered, and sets of them are bits of an integer: a catalog of 25,000 recipes has millions of pairs of a
recipe and what it is built against, and nobody asks for most of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

from farm.errors import PlanError
from farm.model.recipe import Recipe
from farm.model.recipe_source import Release
from farm.plan.epochs import epoch_of, in_order_of_choice
from farm.plan.graph import Host, Hosts, read_graph
from farm.plan.requirements import oldest_first
from farm.plan.values import CatalogValues, RecipeValues

_ANY: Mapping[int, int] = {}


class Node(NamedTuple):
    """A recipe with its requirements resolved. Other recipes are given by their numbers.

    `releases` are its own in the order in which dependents take them: the newest ABI epoch first, in it the oldest
    release. `direct` are the recipes it requires. `level` is
    the length of the longest chain below it. `closure` holds a bit for every recipe it is built against. `accepted`
    says of those that not every release will do for which will: a bit for each of their `releases`. `telling` are
    those whose keys are inputs, each before those that need it: what is required directly, whose keys hold all below
    them, and what is taken in another release than those were built against.
    """

    name: str
    values: RecipeValues
    releases: tuple[Release, ...]
    direct: tuple[int, ...]
    level: int
    closure: int
    accepted: Mapping[int, int]
    telling: tuple[int, ...]

    @property
    def recipe(self) -> Recipe:
        """The recipe itself, without its files."""
        return self.values.recipe

    @property
    def place_in_plan(self) -> tuple[int, str]:
        """What plans are sorted by: levels, then names."""
        return self.level, self.name

    def place(self, target: int) -> int:
        """Which of the `releases` of a recipe it is built against."""
        bits = self.accepted.get(target, 1)
        return (bits & -bits).bit_length() - 1


def resolve(catalog: CatalogValues, roots: Iterable[str]) -> tuple[list[Node], Mapping[str, int]]:
    """The recipes that `roots` need, by number, and their numbers by name: levels first, then names, so that each comes
    after all it needs.

    Raises PlanError for a cycle, a requirement that nothing provides, or requirements that no release meets together.
    """
    hosts = Hosts(catalog)
    graph = read_graph(catalog, hosts, roots)
    resolver = Resolver(graph.numbers, hosts)
    append, make, bounded = resolver.nodes.append, resolver.node, hosts.bounded
    for values, direct in zip(graph.recipes, graph.direct, strict=True):
        append(make(values, direct, bounded(values.entry.hosts)))
    return resolver.nodes, graph.numbers


class Resolver:
    """Makes nodes, each from the nodes of what it requires."""

    def __init__(self, numbers: Mapping[str, int], hosts: Hosts, nodes: Iterable[Node] = ()) -> None:
        self._numbers = numbers
        self._hosts = hosts
        self.nodes = list(nodes)
        self._bounds: dict[str, int] = {}  # which releases will do, by the text of a requirement

    def anew(self, values: RecipeValues) -> Node:
        """The node of a recipe that may not be in the graph as it is now. Raises what `node` raises, and PlanError for
        a requirement that nothing provides."""
        numbers = self._numbers
        hosts = self._hosts.of(values.entry)
        direct = tuple(dict.fromkeys([numbers[host.provider] for host in hosts]))
        return self.node(values, direct, [host for host in hosts if host.bounded])

    def node(self, values: RecipeValues, direct: tuple[int, ...], bounded: Iterable[Host]) -> Node:
        """The node of a recipe from what it requires directly and those requirements that have bounds.

        Raises PlanError if no release of something meets all requirements on the way.
        """
        name, _, _, releases, _ = values.entry
        if len(releases) > 1:
            releases = in_order_of_choice(values.recipe)
        if not direct:
            return Node(name, values, releases, (), 0, 0, _ANY, ())
        nodes = self.nodes
        level = below = own = 0
        accepted, rising = _ANY, True
        for number in direct:
            _, _, _, _, its_level, closure, its_accepted, _ = nodes[number]
            if its_level > level:
                level = its_level
            elif its_level < level:
                rising = False
            below |= closure
            own |= 1 << number
            if its_accepted:
                accepted = _both(accepted, its_accepted)
        for host in bounded:
            accepted = self._bound(accepted, host)
        # Where levels only rise, each comes before those that need it already.
        telling = direct if rising or not below & own else self._in_build_order(own, direct)
        node = Node(name, values, releases, direct, level + 1, below | own, accepted, telling)
        return self._limited(node, own) if accepted else node

    def _limited(self, node: Node, own: int) -> Node:
        """A node for which not every release of something will do."""
        for number, bits in node.accepted.items():
            if not bits:
                raise self._impossible(node, number)
        told = self._retold(node, own)
        return node if told == own else node._replace(telling=self._in_build_order(told, node.direct))

    def _bound(self, accepted: Mapping[int, int], host: Host) -> Mapping[int, int]:
        number = self._numbers[host.provider]
        releases = self.nodes[number].releases
        bits = self._bounds.get(host.text)
        if bits is None:
            will_do = [host.requirement.meets(release.version) for release in releases]
            bits = self._bounds[host.text] = sum(1 << place for place, good in enumerate(will_do) if good)
        return accepted if bits == (1 << len(releases)) - 1 else _both(accepted, {number: bits})

    def _retold(self, node: Node, told: int) -> int:
        """Adds what is taken in another release than something that is required directly was built against."""
        for number in node.direct:
            via = self.nodes[number]
            if via.accepted is not node.accepted:
                for target in node.accepted:
                    if via.closure >> target & 1 and via.place(target) != node.place(target):
                        self._require_one_epoch(node, via, target)
                        told |= 1 << target
        return told

    def _require_one_epoch(self, node: Node, via: Node, target: int) -> None:
        """What a recipe is built against may not be built against another ABI epoch of a library than itself: both
        would be in one process, and no two native wheels of a library can be installed together."""
        library = self.nodes[target]
        mine, its = (library.releases[each.place(target)].version for each in (node, via))
        epoch, other = epoch_of(library.recipe, mine), epoch_of(library.recipe, its)
        if epoch != other:
            raise PlanError(
                f"{node.name} is built against {library.name} {mine} (ABI epoch {epoch}), but {via.name}, which it "
                f"requires, against {library.name} {its} (ABI epoch {other})",
                where=node.name,
                fix=f"give recipes/{via.name}/recipe.toml the same bound on {library.name}, or loosen the one of "
                f"{node.name}",
            )

    def _in_build_order(self, wanted: int, direct: Iterable[int]) -> tuple[int, ...]:
        """Some of what a recipe is built against, in the order of `closure`."""
        found: list[int] = []
        stack: list[tuple[Iterator[int], int]] = [(iter(direct), -1)]
        while stack:
            rest, above = stack[-1]
            for number in rest:
                below = wanted & self.nodes[number].closure
                if below & (below - 1):  # two or more: in that recipe's own order
                    stack.append((iter(self.nodes[number].direct), number))
                    break
                wanted = _take(wanted, below.bit_length() - 1, found)
                wanted = _take(wanted, number, found)
            else:
                stack.pop()
                wanted = _take(wanted, above, found)
        return tuple(found)

    def _impossible(self, node: Node, number: int) -> PlanError:
        target = self.nodes[number]
        asking = set(self._asking(node, target.name))
        for direct in node.direct:
            for other in (*closure_of(direct, lambda each: self.nodes[each].direct), direct):
                asking.update(self._asking(self.nodes[other], target.name))
        there = ", ".join(release.version for release in oldest_first(target.recipe))
        return PlanError(
            f"no release of {target.name} will do: {', '.join(sorted(asking))}; the recipe has {there}",
            where=node.name,
            fix=f"add a release to recipes/{target.name}/recipe.toml or loosen the requirement",
        )

    def _asking(self, node: Node, target: str) -> Iterator[str]:
        hosts = self._hosts.of(node.values.entry)
        return (f"{node.name} requires {host.requirement}" for host in hosts if host.provider == target)


def closure_of(number: int, direct: Callable[[int], Iterable[int]]) -> tuple[int, ...]:
    """What a recipe is built against, each before those that need it; `direct` says what one requires directly."""
    seen: set[int] = set()
    found: list[int] = []
    stack: list[tuple[Iterator[int], int]] = [(iter(direct(number)), -1)]
    while stack:
        rest, above = stack[-1]
        for below in rest:
            if below not in seen:
                seen.add(below)
                stack.append((iter(direct(below)), below))
                break
        else:
            stack.pop()
            if above >= 0:
                found.append(above)
    return tuple(found)


def _take(wanted: int, number: int, found: list[int]) -> int:
    """Move a number from the wanted ones, if it is among them, to those found."""
    if number < 0 or not wanted >> number & 1:
        return wanted
    found.append(number)
    return wanted ^ 1 << number


def _both(one: Mapping[int, int], other: Mapping[int, int]) -> Mapping[int, int]:
    """What both accept; one of them itself where it says all."""
    if one is other or not one:
        return other
    merged = {**one, **{target: one.get(target, bits) & bits for target, bits in other.items()}}
    return one if merged == one else merged
