"""What Alembic runs to bring a store to a revision: on the connection that `serve.store.database` hands it."""

from alembic import context

from serve.store.tables import Base

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=Base.metadata, render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()
