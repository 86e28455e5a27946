"""A planned catalog that takes changed recipes: only what a change reaches is planned again.

Pure but for reading files' digests.
The result is what `farm.plan.planner.plan` gives for the changed catalog. Keys that a change reaches are computed when
somebody asks for them (docs/decisions/010).
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterable, Iterator

from farm.model.plan import Plan
from farm.model.recipe import Recipe
from farm.plan.blocks import Block
from farm.plan.columns import Columns
from farm.plan.epochs import epoch_of
from farm.plan.graph import Hosts, cycle
from farm.plan.known import Known
from farm.plan.needed import Needed
from farm.plan.planner import Planned, no_collection, planned
from farm.plan.resolve import Node, Resolver
from farm.plan.values import CatalogValues, Wanted

_MANY = 50  # direct users: a hub, for whose dependents a note is made instead of finding them all


class WarmPlanner:
    """The plan of a catalog, kept up to date. Not for several threads at once; plans that it gave stay as they are."""

    def __init__(self, catalog: CatalogValues, wanted: Wanted) -> None:
        """Plans all of it. Raises what `plan` raises."""
        self._wanted = wanted
        with no_collection():
            self._begin(catalog)

    @property
    def plan(self) -> Plan:
        """The plan of the catalog as it is now."""
        return self._plan

    def change(self, catalog: CatalogValues, name: str) -> Plan:
        """The plan of a catalog that differs from the present one in the recipe `name` and nothing else.

        Everything is planned anew if the change adds or removes a recipe or a name that one provides, if it makes a
        library a dependent, or if it may change which recipes are planned at all. Raises what `plan`
        raises; then the plan stays as it was.
        """
        with no_collection():
            if self._is_local(catalog, name):
                self._change(catalog, self._planned.columns.numbers[name])
                self._catalog = catalog
            else:
                self._begin(catalog)
        return self._plan

    def compute_keys(self) -> None:
        """Compute the keys of the present plan that nobody has asked for yet."""
        with no_collection():
            self._planned.columns.fill_all()

    def _begin(self, catalog: CatalogValues) -> None:
        self._planned: Planned = planned(catalog, self._wanted)
        self._catalog = catalog
        self._hosts = Hosts(catalog)
        self._nodes = [block.node for block in self._planned.columns.blocks]
        self._users: list[list[int]] = [[] for _ in self._nodes]  # the other way round than `telling`
        for number, node in enumerate(self._nodes):
            for target in node.telling:
                self._users[target].append(number)
        # Recipes that ask for certain releases of something, and those whose choice is limited by that.
        self._asking = {number for number, node in enumerate(self._nodes) if self._asks(node)}
        self._limited = {number for number, node in enumerate(self._nodes) if node.accepted}
        self._plan = self._planned.columns.plan()

    def _is_local(self, catalog: CatalogValues, name: str) -> bool:
        before = self._catalog
        number = self._planned.columns.numbers.get(name)
        if number is None or name not in catalog.recipes or len(catalog.recipes) != len(before.recipes):
            return False
        old, new = self._nodes[number].recipe, catalog.recipes[name].recipe
        return (
            (catalog.providers is before.providers or catalog.providers == before.providers)
            and (catalog.toolchains is before.toolchains or catalog.toolchains == before.toolchains)
            and old.kind == new.kind
            and (not self._wanted.recipes or _asking(old) == _asking(new))
        )

    def _change(self, catalog: CatalogValues, number: int) -> None:
        before, columns = self._nodes, self._planned.columns
        nodes, moved = self._resolved(catalog, number)
        limited = (self._limited - moved) | {n for n in moved if nodes[n].accepted}
        needed, touched = self._planned.needed.moved(moved, before, nodes, number, self._users[number], limited)
        touched = {n for n in touched if needed.releases(n, nodes[n]) != columns.blocks[n].releases}
        blocks, remade = self._blocks(nodes, needed, moved | touched)
        for changed in moved:
            for target in before[changed].telling:
                self._users[target].remove(changed)
            for target in nodes[changed].telling:
                self._users[target].append(changed)
        order = columns.order
        if any(nodes[n].level != before[n].level for n in moved):
            order = sorted(order, key=lambda each: nodes[each].place_in_plan)
        keys = columns.known.copy()
        self._nodes, self._limited = nodes, limited
        self._asking = (self._asking - {number}) | ({number} if self._asks(nodes[number]) else set())
        troubled = (columns.troubled - remade) | {each for each in remade if blocks[each].impossible}
        self._planned = self._planned.with_columns(Columns(blocks, keys, order, columns.numbers, troubled), needed)
        self._forget(keys, columns, sorted(remade, key=lambda each: nodes[each].level))
        self._plan = self._planned.columns.plan()

    def _resolved(self, catalog: CatalogValues, number: int) -> tuple[list[Node], set[int]]:
        """The nodes after a change of one recipe, and which are others than before."""
        before = self._nodes
        resolver = Resolver(self._planned.columns.numbers, self._hosts, before)
        nodes = resolver.nodes
        nodes[number] = new = resolver.anew(catalog.recipes[before[number].name])
        if new.closure >> number & 1:
            raise cycle({node.name: [nodes[below].name for below in node.direct] for node in nodes})
        moved = {number}
        waiting = [(before[user].level, user) for user in self._concerned(number, new)]
        heapq.heapify(waiting)
        seen = {user for _, user in waiting}
        while waiting:  # lower levels first, as they were: between these recipes nothing else has changed
            _, user = heapq.heappop(waiting)
            old = before[user]
            node = resolver.anew(old.values)
            if node[3:] == old[3:]:
                continue
            nodes[user] = node
            moved.add(user)
            if _outside(node) != _outside(old):
                for other in self._users[user]:
                    if other not in seen:
                        seen.add(other)
                        heapq.heappush(waiting, (before[other].level, other))
        return nodes, moved

    def _concerned(self, number: int, new: Node) -> set[int]:
        """Whose nodes may be others when this one is."""
        old = self._nodes[number]
        concerned = set(self._users[number]) if _outside(old) != _outside(new) else set()
        if _choice(old.recipe, old) != _choice(new.recipe, new):
            concerned.update(other for other in self._limited if number in self._nodes[other].accepted)
            concerned.update(self._asking.intersection(self._users[number]))
        return concerned

    def _asks(self, node: Node) -> bool:
        return any(host.bounded for host in self._hosts.of(node.values.entry))

    def _blocks(self, nodes: list[Node], needed: Needed, begin: Iterable[int]) -> tuple[list[Block], set[int]]:
        """The blocks with these nodes, and which were made anew: those to begin with, and those for which other
        platforms are impossible now."""
        before, maker = self._planned.columns.blocks, self._planned.maker
        blocks = list(before)
        waiting = [(nodes[number].level, number) for number in begin]
        heapq.heapify(waiting)
        seen = set(begin)
        while waiting:
            _, number = heapq.heappop(waiting)
            node = nodes[number]
            troubled = [blocks[direct] for direct in node.direct if blocks[direct].reasons]
            blocks[number] = maker.block(node, needed.releases(number, node), troubled)
            if blocks[number].reasons != before[number].reasons:
                for user in self._users[number]:
                    if user not in seen:
                        seen.add(user)
                        heapq.heappush(waiting, (nodes[user].level, user))
        return blocks, seen

    def _forget(self, keys: Known, before: Columns, remade: Iterable[int]) -> None:
        """Forget the keys that are others now. Those of blocks made anew are computed to see who is reached."""
        columns = self._planned.columns
        for number in remade:
            old, known = before.blocks[number], before.known_keys(number)
            if not keys.forget(number) or known is None:
                continue
            unknown = any(columns.known_keys(target) is None for target in self._nodes[number].telling)
            if unknown or not _same_places(old.node, self._nodes[number]):
                self._forget_all(keys, self._users[number])
                continue
            new = dict(zip(_versions(columns.blocks[number]), columns.keys(number), strict=True))
            gone = dict(zip(_versions(old), known, strict=True))
            changed = {version for version in (*new, *gone) if new.get(version) != gone.get(version)}
            if len(self._users[number]) > _MANY and changed.issuperset(gone):
                keys.forget_above(number, lambda other: self._nodes[other].closure)
            else:
                self._forget_all(keys, self._linked(number, changed))

    def _linked(self, number: int, versions: Collection[str]) -> Iterator[int]:
        """Who is built against one of some releases."""
        releases, users = self._nodes[number].releases, self._users[number]
        if versions:
            for user in users if releases[0].version in versions else self._limited.intersection(users):
                if releases[self._nodes[user].place(number)].version in versions:
                    yield user

    def _forget_all(self, keys: Known, numbers: Iterable[int]) -> None:
        """Forget the keys of recipes and of all that are built against them. What is not known has no known users."""
        waiting = [number for number in numbers if keys.forget(number)]
        for number in waiting:  # grows while it is read
            waiting += [user for user in self._users[number] if keys.forget(user)]


def _asking(recipe: Recipe) -> tuple[object, ...]:
    """What decides which recipes and releases are in a plan of some recipes."""
    return recipe.requires.host, recipe.requires.dependents, [release.version for release in recipe.release]


def _outside(node: Node) -> tuple[object, ...]:
    """What others see of a node, beside its releases."""
    return node.level, node.closure, node.accepted


def _choice(recipe: Recipe, node: Node) -> list[tuple[str, int]]:
    """The releases of a recipe as dependents choose among them."""
    if len(node.releases) == 1:
        return [(node.releases[0].version, 0)]
    return [(release.version, epoch_of(recipe, release.version) if recipe.abi else 0) for release in node.releases]


def _same_places(old: Node, new: Node) -> bool:
    """Whether a place among the releases, by which dependents know what they take, means the same release as before."""
    return all(was.version == now.version for was, now in zip(old.releases, new.releases, strict=False))


def _versions(block: Block) -> list[str]:
    return [release.version for release in block.releases]
