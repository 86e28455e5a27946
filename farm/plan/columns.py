"""A plan as columns: a block per recipe and its keys; a `Step` is made when somebody asks for it.

300,000 steps as values of their own take seconds to make and hundreds of megabytes; most callers want a few of them,
or each once. Keys that are not known yet are computed when somebody asks for them, with all that they need.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import accumulate
from typing import overload

from farm.model.plan import KeyInput, Plan, Step, Steps
from farm.plan import compose, keys
from farm.plan.blocks import Block
from farm.plan.known import Keys, Known
from farm.plan.lanes import Lanes
from farm.plan.lines import Lines
from farm.plan.resolve import Node, closure_of


class Columns:
    """Blocks and keys by the number of a recipe; `order` has the numbers as they come in the plan.

    `known` fills up with what is asked for; nothing else changes after it was made. `troubled` are the recipes that are
    impossible somewhere.
    """

    def __init__(
        self,
        blocks: Sequence[Block],
        known: Known,
        order: Sequence[int],
        numbers: Mapping[str, int],
        troubled: frozenset[int],
    ) -> None:
        self.blocks = blocks
        self.troubled = troubled
        self.order = order
        self.numbers = numbers
        self.known = known

    def plan(self) -> Plan:
        """The plan."""
        places = sorted(self.troubled, key=lambda number: self.blocks[number].node.place_in_plan)
        impossible = [row for number in places for row in self.blocks[number].impossible]
        return Plan(steps=ColumnSteps(self), impossible=tuple(impossible))

    def known_keys(self, number: int) -> Keys | None:
        """The keys of a recipe's steps if they were computed before."""
        return self.known.get(number, self.blocks[number].node.closure)

    def keys(self, number: int) -> Keys:
        """The keys of a recipe's steps."""
        found = self.known_keys(number)
        if found is None:
            self.fill(self._unknown(number))
            found = self.known[number]
        return found

    def fill(self, numbers: Iterable[int]) -> None:
        """Compute the keys of recipes that come in an order in which each follows all it needs."""
        blocks, known, put, compute = self.blocks, self.known, self.known.put, self._compute
        by_lanes: dict[Lanes, Lines] = {}
        for number in numbers:
            block = blocks[number]
            lines = by_lanes.get(block.lanes)
            if lines is None:
                lines = by_lanes[block.lanes] = Lines(blocks, known, block.lanes)
            put(number, compute(block, lines))

    def fill_all(self) -> None:
        """Compute all keys that are not known yet."""
        self.fill([number for number in self.order if self.known_keys(number) is None])
        self.known.complete()

    def _unknown(self, number: int) -> list[int]:
        """This recipe and all below it whose keys are not known, lower ones first."""
        found, waiting = {number}, [number]
        for above in waiting:  # grows while it is read
            for below in self.blocks[above].node.telling:
                if below not in found and self.known_keys(below) is None:
                    found.add(below)
                    waiting.append(below)
        return sorted(found, key=lambda each: self.blocks[each].node.level)

    def _compute(self, block: Block, lines: Lines) -> Keys:
        node, _, lanes, parts, _, _ = block
        required = list(map(lines.__getitem__, node.telling))
        if not all(required):  # several releases of something
            blocks = self.blocks
            required = [lines.of(number, _release(node, number, blocks[number])) for number in node.telling]
        if len(parts) == 1:
            return (compose.compose_all(parts[0].heads, lanes.toolchains, required, lanes.own),)
        return tuple([compose.compose_all(part.heads, lanes.toolchains, required, lanes.own) for part in parts])

    def step(self, number: int, release: int, lane: int, around: Around | None = None) -> Step:
        """One step. `around` is what the steps of a recipe share, for who makes several of them."""
        block = self.blocks[number]
        around = around or Around(self, number)
        lanes, name = block.lanes, block.node.name
        version, tail, platform = block.releases[release].version, lanes.tails[lane], lanes.platforms[lane]
        own = around.against(platform) + lanes.own_inputs[lane]
        return Step(
            id=f"{name}@{version}{tail}",
            slot=f"{name}{tail}",
            recipe=name,
            version=version,
            platform=platform,
            kind=block.node.recipe.kind,
            python=lanes.pythons[lane],
            requires=tuple([f"{required}/{platform}" for required in around.required]),
            key=compose.hex_of(self.keys(number)[release], lane),
            inputs=around.recipe_inputs(release, lane) + lanes.toolchain_inputs[lane] + own,
        )


class Around:
    """What the steps of one recipe share: what they are built against, and the recipe's inputs."""

    def __init__(self, columns: Columns, number: int) -> None:
        self._columns = columns
        self._block = block = columns.blocks[number]
        blocks, node = columns.blocks, block.node
        self.required = [
            f"{target.name}@{target.releases[node.place(below)].version}"
            for below in closure_of(number, lambda each: blocks[each].node.direct)
            for target in (blocks[below].node,)
        ]

    def against(self, platform: str) -> tuple[KeyInput, ...]:
        """The keys of what is required, as inputs."""
        node, blocks = self._block.node, self._columns.blocks
        found = []
        for number in node.telling:
            target = blocks[number]
            release = _release(node, number, target)
            digest = compose.hex_of(self._columns.keys(number)[release], target.lanes.places[platform])
            found.append(keys.requires_input(target.node.name, target.releases[release].version, digest))
        return tuple(found)

    def recipe_inputs(self, release: int, lane: int) -> tuple[KeyInput, ...]:
        """The inputs that the recipe gives; it keeps them, for platforms that are alike and for who asks again."""
        heads = self._block.parts[release].heads
        head = heads[lane if len(heads) > 1 else 0]
        return self._block.node.values.once(("inputs", head), partial(self._block.inputs, release, lane))


class ColumnSteps(Steps):
    """The steps of a plan, each made when it is asked for."""

    def __init__(self, columns: Columns) -> None:
        self._columns = columns
        self._ends: list[int] | None = None

    @overload
    def __getitem__(self, index: int) -> Step: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Step]: ...
    def __getitem__(self, index: int | slice) -> Step | Sequence[Step]:
        if isinstance(index, slice):
            return tuple([self[place] for place in range(*index.indices(len(self)))])
        place = index + len(self) if index < 0 else index
        if not 0 <= place < len(self):
            raise IndexError(index)
        at = bisect_right(self._counted(), place)
        number = self._columns.order[at]
        release, lane = divmod(place - (self._counted()[at - 1] if at else 0), len(self._columns.blocks[number].lanes))
        return self._columns.step(number, release, lane)

    def __len__(self) -> int:
        ends = self._counted()
        return ends[-1] if ends else 0

    def __iter__(self) -> Iterator[Step]:
        columns = self._columns
        for number in columns.order:
            block = columns.blocks[number]
            around = Around(columns, number) if block.size else None
            for release in range(len(block.releases)):
                for lane in range(len(block.lanes)):
                    yield columns.step(number, release, lane, around)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence) or isinstance(other, str):
            return NotImplemented
        return len(self) == len(other) and all(mine == its for mine, its in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]  # like a list: equal to a tuple of the same steps

    def __repr__(self) -> str:
        return f"<{len(self)} steps>"

    def by_id(self) -> Mapping[str, Step]:
        """The steps by their ids."""
        return _ById(self, self._columns)

    def _counted(self) -> list[int]:
        if self._ends is None:
            blocks = self._columns.blocks
            self._ends = list(accumulate([blocks[number].size for number in self._columns.order]))
        return self._ends


class _ById(Mapping[str, Step]):
    """Finds a step by the parts of its id."""

    def __init__(self, steps: ColumnSteps, columns: Columns) -> None:
        self._steps = steps
        self._columns = columns

    def __getitem__(self, id_: str) -> Step:
        place = self._place(id_)
        if place is None:
            raise KeyError(id_)
        return self._columns.step(*place)

    def __contains__(self, id_: object) -> bool:
        return isinstance(id_, str) and self._place(id_) is not None

    def __iter__(self) -> Iterator[str]:
        for number in self._columns.order:
            block = self._columns.blocks[number]
            for release in block.releases:
                for tail in block.lanes.tails:
                    yield f"{block.node.name}@{release.version}{tail}"

    def __len__(self) -> int:
        return len(self._steps)

    def _place(self, id_: str) -> tuple[int, int, int] | None:
        named, slash, tail = id_.partition("/")
        name, _, version = named.partition("@")
        number = self._columns.numbers.get(name)
        if number is None:
            return None
        block = self._columns.blocks[number]
        for place, release in enumerate(block.releases):
            if release.version == version and f"{slash}{tail}" in block.lanes.tails:
                return number, place, block.lanes.tails.index(f"{slash}{tail}")
        return None


def _release(node: Node, number: int, target: Block) -> int:
    """Which of the releases that are built of a recipe a node is built against."""
    chosen = target.node.releases[node.place(number)].version
    return next(place for place, release in enumerate(target.releases) if release.version == chosen)
