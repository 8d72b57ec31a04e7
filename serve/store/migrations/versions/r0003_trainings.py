"""Trainings beside runs."""

import sqlalchemy as sa
from alembic import op

revision = "r0003"
down_revision: str | None = "r0002"


def upgrade() -> None:
    """Say of what there is that it is a run, and let lists of each kind be read in order."""
    op.add_column("runs", sa.Column("kind", sa.String(length=16), nullable=False, server_default="run"))
    op.drop_index("ix_runs_owner", table_name="runs")
    op.create_index("runs_by_kind", "runs", ["kind", "number"], unique=False)
    op.create_index("runs_by_kind_and_state", "runs", ["kind", "state", "number"], unique=False)
    op.create_index("runs_by_kind_and_owner", "runs", ["kind", "owner", "number"], unique=False)
