"""The ledger's tables of cascades. Indexes are made for one question: which tasks may be carried out now."""

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


def _of_cascade() -> Column[int]:
    return Column(
        "cascade",
        BigInteger().with_variant(Integer, "sqlite"),
        ForeignKey("cascades.id", ondelete="CASCADE"),
        primary_key=True,
    )


cascades = Table(
    "cascades",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("kind", String(20), nullable=False),
    Column("what", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("state", String(20), nullable=False, index=True),
    Column("channel", String(50), nullable=False),
    Column("catalog", String(64), nullable=False),
    Column("before", String(64), nullable=False),
    Column("scope", JSON, nullable=False),
    Column("base", Integer, nullable=False),
    Column("staged", Integer, nullable=False, server_default="0"),
    Column("promoted", Integer, nullable=False, server_default="0"),
    Column("note", Text, nullable=False, server_default=""),
    Column("untouched", Integer, nullable=False),
    Column("saved", Float, nullable=False),
    Column("verdicts", JSON, nullable=False),
    Column("checks", JSON, nullable=False),
    Column("created", UtcTime(), nullable=False),
    Column("updated", UtcTime(), nullable=False),
    Column("finished", UtcTime()),
    sqlite_autoincrement=True,  # the number names the hidden channel: it is never used twice
)

tasks = Table(
    "cascade_tasks",
    metadata,
    _of_cascade(),
    Column("position", Integer, primary_key=True),
    Column("rank", Integer, nullable=False),  # most urgent first
    Column("id", String(320), nullable=False),
    Column("verb", String(20), nullable=False),
    Column("step", String(300), nullable=False),
    Column("slot", String(300), nullable=False),
    Column("recipe", String(100), nullable=False),
    Column("platform", String(100), nullable=False),
    Column("key", String(64), nullable=False),
    Column("source", String(64), nullable=False),
    Column("why", Text, nullable=False),
    Column("seconds", Float),
    Column("natives", JSON, nullable=False),
    Column("state", String(20), nullable=False),
    Column("missing", Integer, nullable=False),  # tasks it requires that are not done
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("not_before", BigInteger, nullable=False, server_default="0"),  # milliseconds of the database's clock
    Column("error", Text, nullable=False, server_default=""),
    Column("culprit", String(320), nullable=False, server_default=""),
    Column("note", Text, nullable=False, server_default=""),
    Column("took", Float, nullable=False, server_default="0"),
    Column("reused", Boolean, nullable=False, server_default=false()),
    Index("ix_cascade_tasks_frontier", "cascade", "state", "rank"),
    Index("ix_cascade_tasks_verb", "cascade", "state", "verb"),
    Index("ix_cascade_tasks_recipe", "cascade", "recipe"),
    Index("ix_cascade_tasks_slot", "slot", "cascade"),
)

edges = Table(
    "cascade_edges",
    metadata,
    _of_cascade(),
    Column("needed", Integer, primary_key=True),
    Column("task", Integer, primary_key=True),
    Index("ix_cascade_edges_task", "cascade", "task"),
)

plan_steps = Table(  # of the plan after the change: what tasks build, test, and need for it
    "cascade_steps",
    metadata,
    _of_cascade(),
    Column("id", String(300), primary_key=True),
    Column("key", String(64), nullable=False),
    Column("slot", String(300), nullable=False),
    Column("recipe", String(100), nullable=False),
    Column("version", String(100), nullable=False),
    Column("platform", String(100), nullable=False),
    Column("kind", String(20), nullable=False),
    Column("python", String(20)),
    Column("requires", JSON, nullable=False),
)

results = Table(  # of tests: what passed once is not tested again. Built and rebound wheels are in the store
    "cascade_results",
    metadata,
    Column("key", String(64), primary_key=True),
    Column("note", Text, nullable=False),
    Column("took", Float, nullable=False),
    Column("at", UtcTime(), nullable=False),
)

fences = Table(
    "cascade_fences",
    metadata,
    _of_cascade(),
    Column("recipe", String(100), primary_key=True),
    Column("until", UtcTime(), nullable=False),
    Column("reason", Text, nullable=False),
    Column("at", UtcTime(), nullable=False),
)
