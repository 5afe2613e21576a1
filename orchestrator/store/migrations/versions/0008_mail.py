"""Mail beside callbacks: the outbox has channels and remembers a resend, senders say whether their holders get mail."""

import sqlalchemy as sa
from alembic import op

from orchestrator.store.instant import Instant

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column('outbox', sa.Column('channel', sa.String(), nullable=False, server_default='callback'))
    op.add_column('outbox', sa.Column('resent_at', Instant(), nullable=True))
    op.create_index('ix_outbox_at', 'outbox', ['at', 'id'], unique=False)
    op.add_column('senders', sa.Column('mail', sa.Boolean(), nullable=False, server_default=sa.true()))
