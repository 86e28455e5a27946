"""The ledger's table of jobs. Its indexes are made for two questions: what is taken next, and what of a run ended."""

from __future__ import annotations

from sqlalchemy import JSON, BigInteger, Boolean, Column, Index, Integer, String, Table, Text, false

from farm.store.tables import metadata

jobs = Table(
    "jobs",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("run", String(32), nullable=False),
    Column("key", String(64), nullable=False),
    Column("what", String(320), nullable=False),
    Column("queue", String(100), nullable=False),
    Column("rank", BigInteger, nullable=False),  # lowest first: minus the urgency in milliseconds
    Column("state", String(20), nullable=False),
    Column("payload", Text, nullable=False),
    Column("signature", String(200), nullable=False),
    Column("signer", String(100), nullable=False),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("token", BigInteger, nullable=False, server_default="0"),  # of the lease under which it runs
    Column("not_before", BigInteger, nullable=False, server_default="0"),  # times: milliseconds of the database's clock
    Column("created", BigInteger, nullable=False),
    Column("ended", BigInteger, nullable=False, server_default="0"),
    Column("outcome", JSON),
    Column("told", Boolean, nullable=False, server_default=false()),  # whoever asked has heard of its end
    Index("ix_jobs_next", "queue", "state", "rank", "id"),
    Index("ix_jobs_run", "run", "told", "state"),
    Index("ix_jobs_state", "state", "ended"),
)
