"""What happened and who was told of it; sums and counts that are kept up; running and failed attempts at hand."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from farm.store.tables import UtcTime

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_COUNT_SQLITE = (
    """CREATE TRIGGER cascade_tasks_come AFTER INSERT ON cascade_tasks BEGIN
    INSERT INTO cascade_counts (cascade, state, number) VALUES (NEW.cascade, NEW.state, 1)
        ON CONFLICT (cascade, state) DO UPDATE SET number = number + 1;
    END""",
    """CREATE TRIGGER cascade_tasks_go AFTER DELETE ON cascade_tasks BEGIN
    UPDATE cascade_counts SET number = number - 1 WHERE cascade = OLD.cascade AND state = OLD.state;
    END""",
    """CREATE TRIGGER cascade_tasks_move AFTER UPDATE OF state ON cascade_tasks WHEN OLD.state <> NEW.state BEGIN
    UPDATE cascade_counts SET number = number - 1 WHERE cascade = OLD.cascade AND state = OLD.state;
    INSERT INTO cascade_counts (cascade, state, number) VALUES (NEW.cascade, NEW.state, 1)
        ON CONFLICT (cascade, state) DO UPDATE SET number = number + 1;
    END""",
)
# one change of a counter per statement, not per row: a row that is written 300,000 times in a transaction gets slow
_COUNT_POSTGRESQL = (
    """CREATE FUNCTION farm_count_tasks() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF TG_OP <> 'DELETE' THEN
            INSERT INTO cascade_counts AS c (cascade, state, number)
                SELECT cascade, state, count(*) FROM come GROUP BY cascade, state ORDER BY cascade, state
                ON CONFLICT (cascade, state) DO UPDATE SET number = c.number + excluded.number;
        END IF;
        IF TG_OP <> 'INSERT' THEN
            UPDATE cascade_counts AS c SET number = c.number - g.number
                FROM (SELECT cascade, state, count(*) AS number FROM gone GROUP BY cascade, state) AS g
                WHERE c.cascade = g.cascade AND c.state = g.state;
        END IF;
        RETURN NULL;
    END $$""",
    """CREATE TRIGGER cascade_tasks_come AFTER INSERT ON cascade_tasks
    REFERENCING NEW TABLE AS come FOR EACH STATEMENT EXECUTE FUNCTION farm_count_tasks()""",
    """CREATE TRIGGER cascade_tasks_go AFTER DELETE ON cascade_tasks
    REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION farm_count_tasks()""",
    """CREATE TRIGGER cascade_tasks_move AFTER UPDATE ON cascade_tasks
    REFERENCING OLD TABLE AS gone NEW TABLE AS come FOR EACH STATEMENT EXECUTE FUNCTION farm_count_tasks()""",
)


def _id() -> sa.types.TypeEngine[int]:
    return sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    _told()
    _numbers()
    op.create_index("ix_attempts_state", "attempts", ["state", "id"])


def _told() -> None:
    op.create_table(
        "happenings",
        sa.Column("id", _id(), primary_key=True, autoincrement=True),
        sa.Column("uid", sa.String(32), nullable=False),
        sa.Column("about", sa.String(100), nullable=False),
        sa.Column("kind", sa.String(40), nullable=False),
        sa.Column("cascade", sa.BigInteger),
        sa.Column("key", sa.String(64), nullable=False, server_default=""),
        sa.Column("text", sa.Text, nullable=False, server_default=""),
        sa.Column("details", sa.JSON, nullable=False),
        sa.Column("at", UtcTime(), nullable=False),
        sa.Column("routed", sa.Boolean, nullable=False, server_default=sa.false()),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_happenings_routed", "happenings", ["routed", "id"])
    op.create_index("ix_happenings_about", "happenings", ["about", "id"])
    op.create_table(
        "listeners",
        sa.Column("name", sa.String(100), primary_key=True),
        sa.Column("since", UtcTime(), nullable=False),
    )
    of_happening = sa.ForeignKey("happenings.id", ondelete="CASCADE", name="fk_deliveries_happening")
    op.create_table(
        "deliveries",
        sa.Column("happening", _id(), of_happening, primary_key=True),
        sa.Column("target", sa.String(100), primary_key=True),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
        sa.Column("not_before", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("error", sa.Text, nullable=False, server_default=""),
        sa.Column("body", sa.JSON),
        sa.Column("sent", UtcTime()),
    )
    op.create_index("ix_deliveries_due", "deliveries", ["state", "not_before"])


def _numbers() -> None:
    op.create_table(
        "tallies",
        sa.Column("metric", sa.String(40), primary_key=True),
        sa.Column("recipe", sa.String(100), primary_key=True),
        sa.Column("platform", sa.String(100), primary_key=True),
        sa.Column("word", sa.String(40), primary_key=True),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("seconds", sa.Float, nullable=False),
    )
    op.create_index("ix_tallies_seconds", "tallies", ["metric", "seconds"])
    of_cascade = sa.ForeignKey("cascades.id", ondelete="CASCADE", name="fk_cascade_counts_cascade")
    op.create_table(
        "cascade_counts",
        sa.Column("cascade", _id(), of_cascade, primary_key=True),
        sa.Column("state", sa.String(20), primary_key=True),
        sa.Column("number", sa.BigInteger, nullable=False),
    )
    op.execute(
        "INSERT INTO cascade_counts (cascade, state, number)"
        " SELECT cascade, state, count(*) FROM cascade_tasks GROUP BY cascade, state"
    )
    for statement in _COUNT_SQLITE if op.get_bind().dialect.name == "sqlite" else _COUNT_POSTGRESQL:
        op.execute(statement)
