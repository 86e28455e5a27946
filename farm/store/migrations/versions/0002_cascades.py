"""Cascades: their tasks, what these require, the plan's steps that they work on, results of tests, fences."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from farm.store.tables import UtcTime

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def _id() -> sa.types.TypeEngine[int]:
    return sa.BigInteger().with_variant(sa.Integer, "sqlite")


def _of_cascade(table: str) -> sa.Column[int]:
    foreign = sa.ForeignKey("cascades.id", ondelete="CASCADE", name=f"fk_{table}_cascade")
    return sa.Column("cascade", _id(), foreign, primary_key=True)


def upgrade() -> None:
    _cascades()
    _tasks()
    _beside()


def _cascades() -> None:
    op.create_table(
        "cascades",
        sa.Column("id", _id(), primary_key=True, autoincrement=True),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("what", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("priority", sa.Integer, nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("channel", sa.String(50), nullable=False),
        sa.Column("catalog", sa.String(64), nullable=False),
        sa.Column("before", sa.String(64), nullable=False),
        sa.Column("scope", sa.JSON, nullable=False),
        sa.Column("base", sa.Integer, nullable=False),
        sa.Column("staged", sa.Integer, nullable=False, server_default="0"),
        sa.Column("promoted", sa.Integer, nullable=False, server_default="0"),
        sa.Column("note", sa.Text, nullable=False, server_default=""),
        sa.Column("untouched", sa.Integer, nullable=False),
        sa.Column("saved", sa.Float, nullable=False),
        sa.Column("verdicts", sa.JSON, nullable=False),
        sa.Column("checks", sa.JSON, nullable=False),
        sa.Column("created", UtcTime(), nullable=False),
        sa.Column("updated", UtcTime(), nullable=False),
        sa.Column("finished", UtcTime()),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_cascades_state", "cascades", ["state"])


def _tasks() -> None:
    op.create_table(
        "cascade_tasks",
        _of_cascade("cascade_tasks"),
        sa.Column("position", sa.Integer, primary_key=True),
        sa.Column("rank", sa.Integer, nullable=False),
        sa.Column("id", sa.String(320), nullable=False),
        sa.Column("verb", sa.String(20), nullable=False),
        sa.Column("step", sa.String(300), nullable=False),
        sa.Column("slot", sa.String(300), nullable=False),
        sa.Column("recipe", sa.String(100), nullable=False),
        sa.Column("platform", sa.String(100), nullable=False),
        sa.Column("key", sa.String(64), nullable=False),
        sa.Column("source", sa.String(64), nullable=False),
        sa.Column("why", sa.Text, nullable=False),
        sa.Column("seconds", sa.Float),
        sa.Column("natives", sa.JSON, nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("missing", sa.Integer, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
        sa.Column("not_before", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("error", sa.Text, nullable=False, server_default=""),
        sa.Column("culprit", sa.String(320), nullable=False, server_default=""),
        sa.Column("note", sa.Text, nullable=False, server_default=""),
        sa.Column("took", sa.Float, nullable=False, server_default="0"),
        sa.Column("reused", sa.Boolean, nullable=False, server_default=sa.false()),
    )
    op.create_index("ix_cascade_tasks_frontier", "cascade_tasks", ["cascade", "state", "rank"])
    op.create_index("ix_cascade_tasks_verb", "cascade_tasks", ["cascade", "state", "verb"])
    op.create_index("ix_cascade_tasks_recipe", "cascade_tasks", ["cascade", "recipe"])
    op.create_index("ix_cascade_tasks_slot", "cascade_tasks", ["slot", "cascade"])
    op.create_table(
        "cascade_edges",
        _of_cascade("cascade_edges"),
        sa.Column("needed", sa.Integer, primary_key=True),
        sa.Column("task", sa.Integer, primary_key=True),
    )
    op.create_index("ix_cascade_edges_task", "cascade_edges", ["cascade", "task"])


def _beside() -> None:
    op.create_table(
        "cascade_steps",
        _of_cascade("cascade_steps"),
        sa.Column("id", sa.String(300), primary_key=True),
        sa.Column("key", sa.String(64), nullable=False),
        sa.Column("slot", sa.String(300), nullable=False),
        sa.Column("recipe", sa.String(100), nullable=False),
        sa.Column("version", sa.String(100), nullable=False),
        sa.Column("platform", sa.String(100), nullable=False),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("python", sa.String(20)),
        sa.Column("requires", sa.JSON, nullable=False),
    )
    op.create_table(
        "cascade_results",
        sa.Column("key", sa.String(64), primary_key=True),
        sa.Column("note", sa.Text, nullable=False),
        sa.Column("took", sa.Float, nullable=False),
        sa.Column("at", UtcTime(), nullable=False),
    )
    op.create_table(
        "cascade_fences",
        _of_cascade("cascade_fences"),
        sa.Column("recipe", sa.String(100), primary_key=True),
        sa.Column("until", UtcTime(), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("at", UtcTime(), nullable=False),
    )
