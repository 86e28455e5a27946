"""Which releases of a recipe are built: those asked for, linked to, or tested with. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from farm.model.recipe_source import Release
from farm.plan.epochs import of_epoch
from farm.plan.requirements import oldest_first, parse_version
from farm.plan.resolve import Node


class Needed:
    """Counts who links to which release of recipes that have several.

    `asked` are the recipes that were asked for, with the release or None for the newest. With `newest`, the newest
    that dependents run with are built too.
    """

    def __init__(self, asked: Mapping[str, Release | None], *, newest: bool) -> None:
        self._asked = asked
        self._newest = newest
        self._links: dict[int, Counter[str]] = {}

    def count(self, node: Node, nodes: Sequence[Node]) -> None:
        """Add what a recipe links to."""
        for number, version in self._linked(node, nodes):
            self._links.setdefault(number, Counter())[version] += 1

    def moved(
        self,
        numbers: Iterable[int],
        before: Sequence[Node],
        after: Sequence[Node],
        anew: int,
        users: Iterable[int],
        limited: Collection[int],
    ) -> tuple[Needed, set[int]]:
        """The same when some recipes have other nodes, and what they link to or did. The recipe `anew`, which may have
        other releases now, is counted from the beginning; `users` and `limited` may link to it, those beside `limited`
        to its first release."""
        result = Needed(self._asked, newest=self._newest)
        result._links = {**self._links, anew: Counter()}
        touched = {anew}
        for nodes, by in ((before, -1), (after, 1)):
            for number in numbers:
                for target, version in self._linked(nodes[number], nodes):
                    if target != anew:
                        if target not in touched:
                            touched.add(target)
                            result._links[target] = Counter(self._links.get(target, ()))
                        result._links[target][version] += by
        if len(after[anew].releases) > 1:
            releases = after[anew].releases
            first = [user for user in users if user not in limited and anew in after[user].direct]
            nodes = [after[number] for number in limited]
            links = [node.place(anew) for node in nodes if anew in node.accepted or anew in node.direct]
            result._links[anew].update([releases[place].version for place in links])
            result._links[anew][releases[0].version] += len(first)
        return result, touched

    def releases(self, number: int, node: Node) -> tuple[Release, ...]:
        """The releases of a recipe that are built, oldest first."""
        if len(node.releases) == 1:
            return node.releases
        known = {release.version: release for release in node.releases}
        chosen = {version for version, count in self._links.get(number, {}).items() if count and version in known}
        if self._newest:
            chosen |= {of_epoch(node.recipe, version)[-1].version for version in chosen}
        if node.name in self._asked:
            chosen.add((self._asked[node.name] or oldest_first(node.recipe)[-1]).version)
        return tuple(known[version] for version in sorted(chosen, key=parse_version))

    def _linked(self, node: Node, nodes: Sequence[Node]) -> Iterator[tuple[int, str]]:
        """What a node says about releases. Where it says nothing beyond what it requires directly, it takes the first
        release, and so does something that it requires."""
        for number in node.direct:
            releases = nodes[number].releases
            if len(releases) > 1:
                yield number, releases[node.place(number)].version
        for number in node.accepted:
            if number not in node.direct:
                yield number, nodes[number].releases[node.place(number)].version
