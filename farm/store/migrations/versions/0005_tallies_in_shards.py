"""Sums in shards: attempts that end at once on many machines do not wait for one row."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    connection = op.get_bind()
    rows = connection.execute(sa.text("SELECT metric, recipe, platform, word, number, seconds FROM tallies")).all()
    op.drop_table("tallies")  # made anew: its primary key changes
    tallies = op.create_table(
        "tallies",
        sa.Column("metric", sa.String(40), primary_key=True),
        sa.Column("recipe", sa.String(100), primary_key=True),
        sa.Column("platform", sa.String(100), primary_key=True),
        sa.Column("word", sa.String(40), primary_key=True),
        sa.Column("shard", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("seconds", sa.Float, nullable=False),
    )
    op.create_index("ix_tallies_seconds", "tallies", ["metric", "seconds"])
    if rows:
        connection.execute(sa.insert(tallies), [{**row._mapping, "shard": 0} for row in rows])  # noqa: SLF001
