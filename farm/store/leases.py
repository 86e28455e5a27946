"""Leases: who builds a key. Compare-and-set in the database, judged by the database's clock.

A lease is free if it was released, if its process is known to be dead (same machine: at once), or if it has expired
*and* showed no heartbeat during a second look on our own monotonic clock. The second look is what a jump of the
database's clock, a suspended laptop or a restarted database would else turn into two builds at once. It is longer where
the clock itself looks wrong: a lease that was over long before we came, or that ends hours from now.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

from sqlalchemy import BigInteger, Connection, Engine, Row, bindparam, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql.dml import ReturningInsert

from farm.store.database import Database
from farm.store.owner import Owner, this_process
from farm.store.records import Holder, Lease
from farm.store.tables import is_past, leases, now_ms

LEASE_SECONDS = 12.0
_SECOND_LOOK = 1 / 3  # of the lease's time; heartbeats come every quarter
_WHOLE_LOOK = 4 / 3  # where the lease's end says nothing
NOBODY = ""
AGE = (is_past(leases.c.expires).label("expired"), (now_ms() - leases.c.expires).label("late"))


class LeaseRecords(Database):
    """Leases by build key."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self._take_free = _take_free(self._insert_of(leases))
        self._expired_since: dict[str, tuple[int, int, float]] = {}  # key -> token, beats, monotonic time: free then

    def lease(self, key: str, owner: Owner | None = None, ttl: float = LEASE_SECONDS) -> Lease | None:
        """Take the lease of a key for `ttl` seconds, or None if somebody else has it. Does not wait."""
        me = owner or this_process()
        with self.writing() as connection:
            token = self.take_lease(connection, key, me, ttl)
        return None if token is None else Lease(key=key, owner=me, token=token, ttl=ttl)

    def take_lease(self, connection: Connection, key: str, me: Owner, ttl: float) -> int | None:
        """Take a lease inside a transaction; its token, or None if somebody else has it."""
        ms = int(ttl * 1000)
        given = {"of_key": key, "of_owner": str(me), "ms": ms}
        token: int | None = connection.execute(self._take_free, given).scalar()
        if token is None:
            taken = {"owner": str(me), "beats": 0, "expires": now_ms() + ms}
            token = self._take_from(connection, key, taken, ttl)
        if token is not None:
            self._expired_since.pop(key, None)
        return token

    def _take_from(self, connection: Connection, key: str, taken: dict[str, Any], ttl: float) -> int | None:
        """Take a lease that somebody has, if it may be taken."""
        row = self._row(connection, key)
        if row is None or not self.may_be_taken(row, ttl):
            return None
        unchanged = (leases.c.key == key) & (leases.c.token == row.token) & (leases.c.beats == row.beats)
        done = connection.execute(update(leases).where(unchanged).values(**taken, token=row.token + 1))
        return int(row.token) + 1 if done.rowcount == 1 else None

    def heartbeat(self, held: Iterable[Lease]) -> set[str]:
        """Prolong leases; returns the keys that are lost because others took them over. Raises UnavailableError."""
        lost = set()
        with self.writing() as connection:
            for lease in held:
                values = {"beats": leases.c.beats + 1, "expires": now_ms() + int(lease.ttl * 1000)}
                if connection.execute(update(leases).where(_mine(lease)).values(values)).rowcount != 1:
                    lost.add(lease.key)
        return lost

    def release(self, lease: Lease) -> bool:
        """Give a lease back. False if it was not ours any more."""
        with self.writing() as connection:
            return self.drop_lease(connection, lease)

    def drop_lease(self, connection: Connection, lease: Lease) -> bool:
        """Give a lease back inside a transaction; from now to its end nobody else takes it."""
        mine = {"of_key": lease.key, "of_token": lease.token, "of_owner": str(lease.owner)}
        return connection.execute(_DROP, mine).rowcount == 1

    def take_away(self, connection: Connection, row: Row[Any]) -> bool:
        """End a lease whose holder is gone, inside a transaction; False if it changed since `row` was read."""
        unchanged = (leases.c.key == row.key) & (leases.c.token == row.token) & (leases.c.beats == row.beats)
        return connection.execute(update(leases).where(unchanged).values(owner=NOBODY, expires=0)).rowcount == 1

    def may_be_taken(self, row: Row[Any], ttl: float) -> bool:
        """Whether the holder of a lease (a row of it, with `expired`) is gone."""
        return row.owner == NOBODY or self._may_take(_holder(row), ttl)

    def holder(self, key: str) -> Holder | None:
        """Who has the lease of a key, or None."""
        with self.reading() as connection:
            row = self._row(connection, key)
        return None if row is None or row.owner == NOBODY else _holder(row)

    def leased_keys(self) -> set[str]:
        """Keys that somebody builds now: leases neither released, nor expired, nor of a dead process."""
        query = select(leases, *AGE).where(leases.c.owner != NOBODY)
        with self.reading() as connection:
            holders = [_holder(row) for row in connection.execute(query)]
        return {h.key for h in holders if not (h.expired or h.owner.is_surely_dead())}

    def is_mine(self, connection: Connection, lease: Lease) -> bool:
        """Whether a lease is still ours, and nobody takes it before this transaction ends: who writes what a leased
        key came to asks this first."""
        query = select(leases.c.token).where(_mine(lease)).with_for_update()
        return connection.execute(query).first() is not None

    def _row(self, connection: Connection, key: str) -> Row[Any] | None:
        query = select(leases, *AGE).where(leases.c.key == key)
        return connection.execute(query).first()

    def _may_take(self, holder: Holder, ttl: float) -> bool:
        if holder.owner.is_surely_dead():
            return True
        if not holder.expired:
            self._expired_since.pop(holder.key, None)
            return False
        token, beats, free = self._expired_since.get(holder.key, (-1, -1, 0.0))
        if (token, beats) != (holder.token, holder.beats):
            look = _SECOND_LOOK if 0 <= holder.late <= ttl else _WHOLE_LOOK
            self._expired_since[holder.key] = (holder.token, holder.beats, time.monotonic() + ttl * look)
            return False
        return time.monotonic() >= free


def _take_free(fresh: sqlite.Insert | postgresql.Insert) -> ReturningInsert[Any]:
    """Make or take a lease that nobody has, and give its token."""
    taken = {"owner": bindparam("of_owner"), "beats": 0, "expires": now_ms() + bindparam("ms", type_=BigInteger)}
    insert = fresh.values(key=bindparam("of_key"), token=1, **taken)
    changed = {**taken, "token": leases.c.token + 1}
    free = leases.c.owner == NOBODY
    return insert.on_conflict_do_update(index_elements=[leases.c.key], set_=changed, where=free).returning(
        leases.c.token
    )


_DROP = (  # made once: see farm.store.jobs
    update(leases)
    .where(
        leases.c.key == bindparam("of_key"),
        leases.c.token == bindparam("of_token"),
        leases.c.owner == bindparam("of_owner"),
    )
    .values(owner=NOBODY, expires=0)
)


def _mine(lease: Lease) -> Any:
    return (leases.c.key == lease.key) & (leases.c.token == lease.token) & (leases.c.owner == str(lease.owner))


def _holder(row: Row[Any]) -> Holder:
    owner = Owner.parse(row.owner)
    return Holder(
        key=row.key, owner=owner, token=row.token, beats=row.beats, expired=bool(row.expired), late=row.late / 1000
    )
