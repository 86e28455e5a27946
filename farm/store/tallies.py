"""The ledger's sums: what grows with every attempt, kept up in the transaction that it belongs to, so that asking for
them costs the same after ten attempts and after a million."""

from __future__ import annotations

import contextlib
import os
import threading
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, func, select, text

from farm.errors import StoreError
from farm.model.cascade import ENDED, CascadeState
from farm.store.cascade_tables import cascades
from farm.store.database import Database
from farm.store.observed_tables import cascade_counts, tallies

_SHARDS = 64
BUCKETS = (1, 5, 15, 60, 300, 900, 1800, 3600, 7200, 14400)
"""Upper bounds, in seconds, of how long an attempt took."""
ATTEMPT = "attempt"
BUCKET = "bucket"
RETRY = "retry"
CACHED = "cached"
LOST = "lost lease"
# Written out, because every attempt ends with one: building it anew costs ten times what the database needs for it
_INTO = "INSERT INTO tallies (metric, recipe, platform, word, shard, number, seconds) VALUES "
_GROW = (
    " ON CONFLICT (metric, recipe, platform, word, shard)"
    " DO UPDATE SET number = tallies.number + excluded.number, seconds = tallies.seconds + excluded.seconds"
)
_RECIPE = "coalesce((SELECT recipe FROM steps WHERE key = :key), '')"
_PLATFORM = "coalesce((SELECT platform FROM steps WHERE key = :key), '')"
_ADD_ATTEMPT = text(
    f"{_INTO}('{ATTEMPT}', {_RECIPE}, {_PLATFORM}, :state, 0, 1, :seconds),"
    f" ('{BUCKET}', '', {_PLATFORM}, :bucket, :shard, 1, :seconds){_GROW}"
)
_ADD = text(f"{_INTO}(:metric, '', '', :word, :shard, :number, 0){_GROW}")
_OPEN = tuple(state for state in CascadeState if state not in ENDED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """How often, and for how many seconds in all. `word` is what it is counted by: an outcome, a bucket's bound."""

    metric: str
    recipe: str
    platform: str
    word: str
    number: int
    seconds: float


class TallyRecords(Database):
    """Sums that only grow."""

    def tally(self, metric: str, word: str = "", *, number: int = 1) -> None:
        """Count something that belongs to no other transaction."""
        with self.writing() as connection:
            self.add(connection, metric, word, number=number)

    def tally_softly(self, metric: str, word: str = "") -> None:
        """The same for who has better things to do: a ledger that does not answer is not told."""
        with contextlib.suppress(StoreError):
            self.tally(metric, word)

    def tallies(self) -> tuple[Tally, ...]:
        """All sums but those by recipe: as many as there are platforms, outcomes and buckets."""
        kinds = (BUCKET, CACHED, LOST, RETRY)
        names = (tallies.c.metric, tallies.c.recipe, tallies.c.platform, tallies.c.word)
        sums = (func.sum(tallies.c.number).label("number"), func.sum(tallies.c.seconds).label("seconds"))
        with self.reading() as connection:
            rows = connection.execute(select(*names, *sums).where(tallies.c.metric.in_(kinds)).group_by(*names)).all()
        return tuple(Tally(**{**row._mapping, "number": int(row.number)}) for row in rows)  # noqa: SLF001

    def recipe_tallies(self, limit: int = 1000) -> tuple[Tally, ...]:
        """Attempts by recipe, platform and outcome: those that took longest in all."""
        columns = [column for column in tallies.columns if column.name != "shard"]
        query = select(*columns).where(tallies.c.metric == ATTEMPT).order_by(tallies.c.seconds.desc()).limit(limit)
        with self.reading() as connection:
            rows = connection.execute(query).all()
        return tuple(Tally(**row._mapping) for row in rows)  # noqa: SLF001 - SQLAlchemy's public name

    def cascade_numbers(self) -> dict[int, dict[str, int]]:
        """Of each cascade that has not ended, how many of its tasks are in which state. Reads counters, not tasks."""
        query = (
            select(cascades.c.id, cascade_counts.c.state, cascade_counts.c.number)
            .outerjoin(cascade_counts, cascade_counts.c.cascade == cascades.c.id)
            .where(cascades.c.state.in_(_OPEN))
        )
        found: dict[int, dict[str, int]] = {}
        with self.reading() as connection:
            for id_, state, number in connection.execute(query):
                counts = found.setdefault(id_, {})
                if number:
                    counts[state] = int(number)
        return found

    def tally_attempt(self, connection: Connection, key: str, state: str, seconds: float) -> None:
        """Count the end of an attempt, in its transaction: by recipe, and by how long it took."""
        bound = next((str(bound) for bound in BUCKETS if seconds <= bound), "+Inf")
        words = {"state": state, "bucket": f"{state} {bound}", "shard": _shard()}
        connection.execute(_ADD_ATTEMPT, {"key": key, "seconds": seconds, **words})

    def add(self, connection: Connection, metric: str, word: str, *, number: int = 1) -> None:
        """Add to a sum; it begins at nothing."""
        connection.execute(_ADD, {"metric": metric, "word": word, "shard": _shard(), "number": number})


def _shard() -> int:
    """A row is held until its transaction is on the disk: each thread of each process adds to one of a few, by chance
    its own."""
    return hash((os.getpid(), threading.get_ident())) % _SHARDS


def count_up_to(connection: Connection, query: Any, limit: int) -> int:
    """How many rows a query has, `limit` at most: what it costs does not grow with a table."""
    return int(connection.execute(select(func.count()).select_from(query.limit(limit).subquery())).scalar_one())
