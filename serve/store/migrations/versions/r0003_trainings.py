"""Trainings beside runs."""

import sqlalchemy as sa
from alembic import op

revision = "r0003"
down_revision: str | None = "r0002"


def upgrade() -> None:
    """Say of what there is that it is a run."""
    op.add_column("runs", sa.Column("kind", sa.String(length=16), nullable=False, server_default="run"))
    op.create_index("runs_by_kind", "runs", ["kind", "number"], unique=False)
