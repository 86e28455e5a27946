"""The base of the ledger's parts: transactions, bulk helpers, errors."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, Insert, Table
from sqlalchemy.dialects import postgresql, sqlite

from farm.store.schema import WRITE, database_errors, place_of

T = TypeVar("T")
_CHUNK = 500  # below SQLite's smallest limit of variables per statement


class Database:
    """An engine with short transactions. Safe for threads; after a fork open a new one."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._writer = engine.execution_options(**{WRITE: True})

    @property
    def url(self) -> str:
        """Where the ledger is, without the password."""
        return place_of(self._engine.url)

    def close(self) -> None:
        """Give all connections back."""
        self._engine.dispose()

    @contextlib.contextmanager
    def reading(self) -> Iterator[Connection]:
        """A view that is consistent within one statement; SQLite's is so to the end. Raises StoreError."""
        with database_errors(self._engine.url), self._engine.connect() as connection:
            yield connection

    @contextlib.contextmanager
    def writing(self) -> Iterator[Connection]:
        """All or nothing. Raises StoreError; UnavailableError if it is worth a retry."""
        with database_errors(self._engine.url), self._writer.begin() as connection:
            yield connection

    def insert_new(self, connection: Connection, table: Table, rows: Sequence[dict[str, Any]]) -> None:
        """Insert the rows whose primary key is new; others stay as they are."""
        if rows:
            connection.execute(self._insert(table), list(rows))

    def _insert(self, table: Table) -> Insert:
        return self._insert_of(table).on_conflict_do_nothing()

    def _insert_of(self, table: Table) -> sqlite.Insert | postgresql.Insert:
        """An insert that knows conflicts, as this database says it."""
        return sqlite.insert(table) if self._engine.dialect.name == "sqlite" else postgresql.insert(table)


def now() -> datetime:
    """The time of this machine, aware of its zone."""
    return datetime.now(UTC)


def chunks(values: Iterable[T], size: int = _CHUNK) -> Iterator[list[T]]:
    """Lists of at most `size`."""
    rest = iter(values)
    while part := list(islice(rest, size)):
        yield part
