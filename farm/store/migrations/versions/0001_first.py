"""The first schema: steps, inputs, attempts, artifacts, leases, verdicts, findings.

Written out instead of calling `metadata.create_all`, because a migration must go on meaning what it meant.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from farm.store.tables import UtcTime

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def _step_key(*, primary_key: bool = False) -> sa.Column[str]:
    foreign = sa.ForeignKey("steps.key", ondelete="CASCADE")
    return sa.Column("key", sa.String(64), foreign, primary_key=primary_key, nullable=False)


def _identity() -> sa.Column[int]:
    kind = sa.BigInteger().with_variant(sa.Integer, "sqlite")
    return sa.Column("id", kind, primary_key=True, autoincrement=True)


def upgrade() -> None:
    _steps()
    _attempts()
    _leases()
    _judgements()


def _steps() -> None:
    op.create_table(
        "steps",
        sa.Column("key", sa.String(64), primary_key=True),
        sa.Column("id", sa.String(300), nullable=False),
        sa.Column("slot", sa.String(300), nullable=False),
        sa.Column("recipe", sa.String(100), nullable=False),
        sa.Column("version", sa.String(100), nullable=False),
        sa.Column("platform", sa.String(100), nullable=False),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("python", sa.String(20)),
        sa.Column("first_seen", UtcTime(), nullable=False),
    )
    op.create_index("ix_steps_id", "steps", ["id"])
    op.create_index("ix_steps_slot", "steps", ["slot"])
    op.create_table(
        "step_inputs",
        _step_key(primary_key=True),
        sa.Column("position", sa.Integer, primary_key=True),
        sa.Column("label", sa.Text, nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("shown", sa.Text, nullable=False),
    )
    op.create_table(
        "artifacts",
        _step_key(primary_key=True),
        sa.Column("filename", sa.Text, nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("built", UtcTime(), nullable=False),
    )


def _attempts() -> None:
    op.create_table(
        "attempts",
        _identity(),
        _step_key(),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("started", UtcTime(), nullable=False),
        sa.Column("finished", UtcTime()),
        sa.Column("phase", sa.String(100), nullable=False, server_default=""),
        sa.Column("error", sa.Text, nullable=False, server_default=""),
        sa.Column("log", sa.Text, nullable=False, server_default=""),
        sa.Column("seconds", sa.Float, nullable=False, server_default="0"),
        sa.Column("cpu_seconds", sa.Float, nullable=False, server_default="0"),
        sa.Column("host", sa.String(300), nullable=False),
        sa.Column("pid", sa.Integer, nullable=False),
        sa.Column("owner", sa.String(400), nullable=False),
    )
    op.create_index("ix_attempts_key", "attempts", ["key", "id"])


def _leases() -> None:
    op.create_table(
        "leases",
        sa.Column("key", sa.String(64), primary_key=True),
        sa.Column("owner", sa.String(400), nullable=False),
        sa.Column("token", sa.BigInteger, nullable=False),
        sa.Column("beats", sa.BigInteger, nullable=False),
        sa.Column("expires", sa.BigInteger, nullable=False),
    )


def _judgements() -> None:
    op.create_table(
        "verdicts",
        _identity(),
        _step_key(),
        sa.Column("kind", sa.String(40), nullable=False),
        sa.Column("outcome", sa.String(20), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("details", sa.JSON, nullable=False),
        sa.Column("at", UtcTime(), nullable=False),
    )
    op.create_index("ix_verdicts_key", "verdicts", ["key", "kind", "id"])
    op.create_table(
        "findings",
        _identity(),
        _step_key(),
        sa.Column("gate", sa.String(100), nullable=False),
        sa.Column("check_name", sa.String(100), nullable=False),
        sa.Column("severity", sa.String(20), nullable=False),
        sa.Column("file", sa.Text, nullable=False),
        sa.Column("fact", sa.Text, nullable=False),
        sa.Column("fix", sa.Text, nullable=False),
        sa.Column("at", UtcTime(), nullable=False),
    )
    op.create_index("ix_findings_key", "findings", ["key", "id"])
