"""The ledger's sums: what grows with every attempt, kept up in the transaction that it belongs to, so that asking for
them costs the same after ten attempts and after a million."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, func, select

from farm.errors import StoreError
from farm.model.cascade import ENDED, CascadeState
from farm.store.cascade_tables import cascades
from farm.store.database import Database
from farm.store.observed_tables import cascade_counts, tallies
from farm.store.tables import steps

BUCKETS = (1, 5, 15, 60, 300, 900, 1800, 3600, 7200, 14400)
"""Upper bounds, in seconds, of how long an attempt took."""
ATTEMPT = "attempt"
BUCKET = "bucket"
RETRY = "retry"
CACHED = "cached"
LOST = "lost lease"
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

    def tally(self, metric: str, word: str = "", *, number: int = 1, recipe: str = "", platform: str = "") -> None:
        """Count something that belongs to no other transaction."""
        with self.writing() as connection:
            self.add(connection, metric, word, number=number, recipe=recipe, platform=platform)

    def tally_softly(self, metric: str, word: str = "") -> None:
        """The same for who has better things to do: a ledger that does not answer is not told."""
        with contextlib.suppress(StoreError):
            self.tally(metric, word)

    def tallies(self) -> tuple[Tally, ...]:
        """All sums but those by recipe: as many as there are platforms, outcomes and buckets."""
        kinds = (BUCKET, CACHED, LOST, RETRY)
        with self.reading() as connection:
            rows = connection.execute(select(tallies).where(tallies.c.metric.in_(kinds))).all()
        return tuple(Tally(**row._mapping) for row in rows)  # noqa: SLF001 - SQLAlchemy's public name

    def recipe_tallies(self, limit: int = 1000) -> tuple[Tally, ...]:
        """Attempts by recipe, platform and outcome: those that took longest in all."""
        query = select(tallies).where(tallies.c.metric == ATTEMPT).order_by(tallies.c.seconds.desc()).limit(limit)
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
        """Count the end of an attempt, in its transaction."""
        row = connection.execute(select(steps.c.recipe, steps.c.platform).where(steps.c.key == key)).first()
        recipe, platform = (row.recipe, row.platform) if row is not None else ("", "")
        self.add(connection, ATTEMPT, state, seconds=seconds, recipe=recipe, platform=platform)
        bound = next((str(bound) for bound in BUCKETS if seconds <= bound), "+Inf")
        self.add(connection, BUCKET, f"{state} {bound}", seconds=seconds, platform=platform)

    def add(
        self,
        connection: Connection,
        metric: str,
        word: str,
        *,
        number: int = 1,
        seconds: float = 0.0,
        recipe: str = "",
        platform: str = "",
    ) -> None:
        """Add to a sum; it begins at nothing."""
        names = {"metric": metric, "recipe": recipe, "platform": platform, "word": word}
        more = self._insert_of(tallies).values(names | {"number": number, "seconds": seconds})
        grown: dict[str, Any] = {
            "number": tallies.c.number + more.excluded.number,
            "seconds": tallies.c.seconds + more.excluded.seconds,
        }
        connection.execute(more.on_conflict_do_update(index_elements=list(tallies.primary_key), set_=grown))


def count_up_to(connection: Connection, query: Any, limit: int) -> int:
    """How many rows a query has, `limit` at most: what it costs does not grow with a table."""
    return int(connection.execute(select(func.count()).select_from(query.limit(limit).subquery())).scalar_one())
