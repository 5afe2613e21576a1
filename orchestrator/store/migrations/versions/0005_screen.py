"""Indexes for the operators' screen: ends by state, fences by time, and those few accounts that are stuck."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index('ix_accounts_state_ends_at', 'accounts', ['state', 'ends_at', 'site'], unique=False)
    op.create_index('ix_accounts_fenced_at', 'accounts', ['fenced_at'], unique=False)
    op.create_index('ix_accounts_stuck', 'accounts', ['site', 'id'], unique=False,
                    sqlite_where=sa.text('stuck IS NOT NULL'), postgresql_where=sa.text('stuck IS NOT NULL'))
