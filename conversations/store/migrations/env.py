"""Alembic's environment: runs on the connection that `conversations.store.migrate` hands over."""

from __future__ import annotations

from alembic import context

from conversations.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=False,
    render_as_batch=True,
)
context.run_migrations()
