"""The ledger's tables for whoever looks on: what happened, who was told, and numbers that are kept up as things happen
because counting 300,000 rows for every look would cost too much."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    Text,
    false,
)

from farm.store.tables import UtcTime, metadata


def _big() -> BigInteger:
    return BigInteger().with_variant(Integer, "sqlite")


happenings = Table(
    "happenings",
    metadata,
    Column("id", _big(), primary_key=True, autoincrement=True),
    Column("uid", String(32), nullable=False),
    Column("about", String(100), nullable=False),  # a cascade, or a key and what judged it
    Column("kind", String(40), nullable=False),
    Column("cascade", BigInteger),
    Column("key", String(64), nullable=False, server_default=""),
    Column("text", Text, nullable=False, server_default=""),
    Column("details", JSON, nullable=False),
    Column("at", UtcTime(), nullable=False),
    Column("routed", Boolean, nullable=False, server_default=false()),
    Index("ix_happenings_routed", "routed", "id"),
    Index("ix_happenings_about", "about", "id"),
    sqlite_autoincrement=True,
)

listeners = Table(  # targets that were ever configured: a new one hears of what happens from then on
    "listeners",
    metadata,
    Column("name", String(100), primary_key=True),
    Column("since", UtcTime(), nullable=False),
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("happening", _big(), ForeignKey("happenings.id", ondelete="CASCADE"), primary_key=True),
    Column("target", String(100), primary_key=True),
    Column("state", String(20), nullable=False),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("not_before", BigInteger, nullable=False, server_default="0"),  # milliseconds of the database's clock
    Column("error", Text, nullable=False, server_default=""),
    Column("body", JSON),
    Column("sent", UtcTime()),
    Index("ix_deliveries_due", "state", "not_before"),
)

tallies = Table(  # sums that only grow
    "tallies",
    metadata,
    Column("metric", String(40), primary_key=True),
    Column("recipe", String(100), primary_key=True),
    Column("platform", String(100), primary_key=True),
    Column("word", String(40), primary_key=True),  # what it is counted by: an outcome, a bucket
    Column("shard", Integer, primary_key=True, autoincrement=False),  # who adds at once adds to different rows
    Column("number", BigInteger, nullable=False),
    Column("seconds", Float, nullable=False),
    Index("ix_tallies_seconds", "metric", "seconds"),
)

cascade_counts = Table(  # tasks by state; triggers of migration 0004 keep it
    "cascade_counts",
    metadata,
    Column("cascade", _big(), ForeignKey("cascades.id", ondelete="CASCADE"), primary_key=True),
    Column("state", String(20), primary_key=True),
    Column("number", BigInteger, nullable=False),
)
