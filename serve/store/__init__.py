"""The store of runs: tables, migrations, and what is asked of them."""

from serve.store.database import Database

__all__ = ["Database"]
