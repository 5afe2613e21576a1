"""Alembic's entry: runs on the connection and in the transaction that the caller holds."""

from alembic import context

from orchestrator.store.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata,
                  transaction_per_migration=False, compare_type=True)
context.run_migrations()
