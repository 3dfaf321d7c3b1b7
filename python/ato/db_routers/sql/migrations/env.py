"""Run by Alembic: the connection comes from `migrations.upgrade`, never from a file."""

from __future__ import annotations

from alembic import context

from ato.db_routers.sql.schema import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    # SQLite alters little in place; Alembic then builds the table anew.
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
