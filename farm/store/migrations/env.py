"""Alembic's entry: runs migrations on the connection that farm.store.schema hands over, inside its transaction."""

from __future__ import annotations

from alembic import context

from farm.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transaction_per_migration=False,
    render_as_batch=True,
)
context.run_migrations()
