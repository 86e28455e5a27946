"""What the keys of recipes are in the keys of those built against them. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from farm.plan.blocks import Block
from farm.plan.compose import required_lines
from farm.plan.known import Known
from farm.plan.lanes import Lanes


class Lines(dict[int, Sequence[bytes]]):
    """A recipe's keys by its number, as they are hashed for recipes that have the same lanes; each made once.

    For a recipe of which several releases are built it is empty: `of` gives those of one.
    """

    def __init__(self, blocks: Sequence[Block], known: Known, lanes: Lanes) -> None:
        super().__init__()
        self._blocks = blocks
        self._known = known
        self._lanes = lanes
        self._releases: dict[tuple[int, int], Sequence[bytes]] = {}

    def __missing__(self, number: int) -> Sequence[bytes]:
        lines = self[number] = self._made(number, 0) if len(self._blocks[number].releases) == 1 else ()
        return lines

    def of(self, number: int, release: int) -> Sequence[bytes]:
        """The keys of one release of those that are built."""
        lines = self._releases.get((number, release))
        if lines is None:
            lines = self._releases[number, release] = self._made(number, release)
        return lines

    def _made(self, number: int, release: int) -> Sequence[bytes]:
        block = self._blocks[number]
        lines = required_lines(block.node.name, self._known[number][release])
        if block.lanes is self._lanes:
            return lines
        places = block.lanes.places
        return [lines[places[platform]] for platform in self._lanes.platforms]
