"""From a catalog and what is wanted to steps in order, each with its build key. Pure but for reading files' digests.

Libraries that are asked for build their newest release; what dependents are linked to says `farm.plan.resolve`.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from farm.model.plan import Plan
from farm.plan.blocks import Block, BlockMaker
from farm.plan.columns import Columns
from farm.plan.known import Known
from farm.plan.needed import Needed
from farm.plan.resolve import resolve
from farm.plan.selection import wanted_platforms, wanted_recipes
from farm.plan.values import CatalogValues, Wanted


def plan(catalog: CatalogValues, wanted: Wanted) -> Plan:
    """Plan the wanted recipes and all they are built against.

    Raises UsageError for names that are not in the catalog, PlanError for a cycle or requirements that no release
    meets together.
    """
    with no_collection():
        return planned(catalog, wanted).columns.plan()


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """A plan and what made it."""

    columns: Columns
    needed: Needed
    maker: BlockMaker

    def with_columns(self, columns: Columns, needed: Needed) -> Planned:
        """The same for another catalog."""
        return Planned(columns=columns, needed=needed, maker=self.maker)


def planned(catalog: CatalogValues, wanted: Wanted) -> Planned:
    """As `plan`, with all that is needed to plan changes."""
    platforms = wanted_platforms(catalog, wanted.platforms)
    asked = wanted_recipes(catalog, wanted.recipes)
    nodes, numbers = resolve(catalog, asked)
    needed = Needed(asked, newest=wanted.newest)
    several = {number for number, node in enumerate(nodes) if len(node.releases) > 1}
    for node in nodes if several else ():
        if node.accepted or not several.isdisjoint(node.direct):
            needed.count(node, nodes)
    maker = BlockMaker(catalog.toolchains, wanted, platforms)
    blocks: list[Block] = []
    troubled: set[int] = set()  # impossible somewhere
    for number, node in enumerate(nodes):
        below = [blocks[each] for each in node.direct if each in troubled] if troubled else ()
        block = maker.block(node, needed.releases(number, node), below)
        blocks.append(block)
        if block.impossible:
            troubled.add(number)
    columns = Columns(blocks, Known([None] * len(blocks)), range(len(blocks)), numbers, frozenset(troubled))
    columns.fill(range(len(blocks)))
    return Planned(columns=columns, needed=needed, maker=maker)


@contextmanager
def no_collection() -> Iterator[None]:
    """Large plans are many objects without cycles: looking for cycles takes half of the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
