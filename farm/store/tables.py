"""The ledger's tables. `migrations/` builds the same in a database; a test compares the two."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    DateTime,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.expression import ColumnElement
from sqlalchemy.sql.functions import FunctionElement

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "ix": "ix_%(table_name)s_%(column_0_name)s",
    }
)


class UtcTime(TypeDecorator[datetime]):
    """A moment: aware going in, UTC and aware coming out, on every database."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """As the database takes it: SQLite keeps no zones, so UTC without one."""
        if value is None:
            return None
        assert value.tzinfo is not None, "the ledger takes aware datetimes only"
        utc = value.astimezone(UTC)
        return utc if dialect.name != "sqlite" else utc.replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Aware again, in UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


_FAR_MS = 2 * 3_600_000


class now_ms(FunctionElement[int]):  # noqa: N801 - reads as the SQL function that it is
    """The database's clock in milliseconds since 1970: leases of all machines are judged by this one clock."""

    name = "now_ms"
    inherit_cache = True  # of a function: SQLAlchemy makes no statement twice that differs only in its values
    type = BigInteger()


@compiles(now_ms, "sqlite")
def _sqlite_now(element: now_ms, compiler: Any, **options: Any) -> str:  # noqa: ARG001 - SQLAlchemy's signature
    return "CAST((julianday('now') - 2440587.5) * 86400000.0 AS INTEGER)"


@compiles(now_ms, "postgresql")
def _postgresql_now(element: now_ms, compiler: Any, **options: Any) -> str:  # noqa: ARG001 - SQLAlchemy's signature
    return "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)"


def is_past(moment: ColumnElement[int], far_ms: int = _FAR_MS) -> ColumnElement[bool]:
    """Whether a moment that the farm wrote has come. Nothing is put off for as long as `far_ms` (jobs and tasks for an
    hour or two at most), so one that is farther away was written by a clock that was wrong, and counts as come. (With
    SQLite each process's clock is the database's; on any machine a clock may be set back.)"""
    return (moment <= now_ms()) | (moment > now_ms() + far_ms)


def _key() -> Column[str]:
    return Column("key", String(64), ForeignKey("steps.key", ondelete="CASCADE"), nullable=False)


def _identity() -> Column[int]:
    return Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True)


steps = Table(
    "steps",
    metadata,
    Column("key", String(64), primary_key=True),
    Column("id", String(300), nullable=False, index=True),
    Column("slot", String(300), nullable=False, index=True),
    Column("recipe", String(100), nullable=False),
    Column("version", String(100), nullable=False),
    Column("platform", String(100), nullable=False),
    Column("kind", String(20), nullable=False),
    Column("python", String(20)),
    Column("first_seen", UtcTime(), nullable=False),
)

inputs = Table(
    "step_inputs",
    metadata,
    Column("key", String(64), ForeignKey("steps.key", ondelete="CASCADE"), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("label", Text, nullable=False),
    Column("digest", String(64), nullable=False),
    Column("shown", Text, nullable=False),
)

attempts = Table(
    "attempts",
    metadata,
    _identity(),
    _key(),
    Column("state", String(20), nullable=False),
    Column("started", UtcTime(), nullable=False),
    Column("finished", UtcTime()),
    Column("phase", String(100), nullable=False, server_default=""),
    Column("error", Text, nullable=False, server_default=""),
    Column("log", Text, nullable=False, server_default=""),
    Column("seconds", Float, nullable=False, server_default="0"),
    Column("cpu_seconds", Float, nullable=False, server_default="0"),
    Column("host", String(300), nullable=False),
    Column("pid", Integer, nullable=False),
    Column("owner", String(400), nullable=False),
    Index("ix_attempts_key", "key", "id"),
    Index("ix_attempts_state", "state", "id"),  # what runs, and what failed last
)

artifacts = Table(
    "artifacts",
    metadata,
    Column("key", String(64), ForeignKey("steps.key", ondelete="CASCADE"), primary_key=True),
    Column("filename", Text, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("built", UtcTime(), nullable=False),
)

leases = Table(  # rows stay after release, so that tokens only grow
    "leases",
    metadata,
    Column("key", String(64), primary_key=True),
    Column("owner", String(400), nullable=False),
    Column("token", BigInteger, nullable=False),
    Column("beats", BigInteger, nullable=False),
    Column("expires", BigInteger, nullable=False),  # milliseconds of the database's clock
)

verdicts = Table(
    "verdicts",
    metadata,
    _identity(),
    _key(),
    Column("kind", String(40), nullable=False),
    Column("outcome", String(20), nullable=False),
    Column("reason", Text, nullable=False),
    Column("details", JSON, nullable=False),
    Column("at", UtcTime(), nullable=False),
    Index("ix_verdicts_key", "key", "kind", "id"),
)

findings = Table(
    "findings",
    metadata,
    _identity(),
    _key(),
    Column("gate", String(100), nullable=False),
    Column("check_name", String(100), nullable=False),
    Column("severity", String(20), nullable=False),
    Column("file", Text, nullable=False),
    Column("fact", Text, nullable=False),
    Column("fix", Text, nullable=False),
    Column("at", UtcTime(), nullable=False),
    Index("ix_findings_key", "key", "id"),
)
