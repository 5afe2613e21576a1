"""Booked accounts: when they begin, from when they are prepared, and since when they are."""

import sqlalchemy as sa
from alembic import op

from orchestrator.store.instant import Instant

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for name in ("begins_at", "prepare_at", "prepared_at"):
        op.add_column("accounts", sa.Column(name, Instant(), nullable=True))
    op.create_index("ix_accounts_begins_at", "accounts", ["begins_at"])
