"""Revisions of the store, in order, run by Alembic."""
