"""Browsers that are signed in."""

import sqlalchemy as sa
from alembic import op

from orchestrator.store.instant import Instant

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('sessions',
    sa.Column('id', sa.String(), nullable=False),
    sa.Column('digest', sa.String(), nullable=False),
    sa.Column('token', sa.String(), nullable=True),
    sa.Column('actor', sa.String(), nullable=False),
    sa.Column('role', sa.String(), nullable=False),
    sa.Column('made_at', Instant(), nullable=False),
    sa.Column('seen_at', Instant(), nullable=False),
    sa.Column('ends_at', Instant(), nullable=False),
    sa.ForeignKeyConstraint(['token'], ['tokens.id'], name=op.f('fk_sessions_token')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_sessions'))
    )
    op.create_index('ix_sessions_ends_at', 'sessions', ['ends_at'], unique=False)
