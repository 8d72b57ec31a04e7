"""A message that is being sent says until when, so that its receiver is sent no other meanwhile."""

import sqlalchemy as sa
from alembic import op

revision = "r0005"
down_revision: str | None = "r0004"


def upgrade() -> None:
    """Add the column, and what finds the first message of each receiver."""
    op.add_column("deliveries", sa.Column("sending_until", sa.Double(), nullable=True))
    op.create_index("deliveries_waiting", "deliveries", ["ended", "url", "number", "not_before"], unique=False)
    op.create_index("deliveries_sent_now", "deliveries", ["sending_until"], unique=False)
