"""Connections that rested are tried before they are used again: the server may have been restarted, or the network cut.

SQLAlchemy's own `pool_pre_ping` tries every one, which costs a busy worker one question to the database in each
transaction. Of a connection that worked a moment ago a failure is told as any other: the ledger does not answer now.
"""

from __future__ import annotations

import time

from sqlalchemy import Engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import InvalidatePoolError
from sqlalchemy.pool import ConnectionPoolEntry, PoolProxiedConnection

_RESTED_SECONDS = 1.0
_SINCE = "farm_resting_since"  # monotonic


def try_the_rested(engine: Engine) -> None:
    """Let the engine's pool replace connections that have rested and are dead; those of the same age go with them."""

    @event.listens_for(engine, "checkin")
    def rest(connection: DBAPIConnection | None, record: ConnectionPoolEntry) -> None:
        del connection
        record.info[_SINCE] = time.monotonic()

    @event.listens_for(engine, "checkout")
    def wake(connection: DBAPIConnection, record: ConnectionPoolEntry, proxy: PoolProxiedConnection) -> None:
        del proxy
        if time.monotonic() - record.info.get(_SINCE, time.monotonic()) < _RESTED_SECONDS:
            return
        try:
            engine.dialect.do_ping(connection)
        except engine.dialect.loaded_dbapi.Error as error:
            raise InvalidatePoolError from error
