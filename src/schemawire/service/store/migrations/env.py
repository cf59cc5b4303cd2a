"""Runs the migrations on the connection that `migrate` hands over; knows nothing of addresses or settings."""

from alembic import context

from schemawire.service.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=True,  # the caller's transaction holds every step, so a crash leaves none of them
)
context.run_migrations()
