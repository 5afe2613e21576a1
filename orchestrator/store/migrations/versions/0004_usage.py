"""Readings of meters, outages, credits."""

import sqlalchemy as sa
from alembic import op

from orchestrator.store.instant import Instant

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('usage',
    sa.Column('account', sa.String(), nullable=False),
    sa.Column('meter', sa.String(), nullable=False),
    sa.Column('hour', Instant(), nullable=False),
    sa.Column('amount', sa.BigInteger(), nullable=False),
    sa.Column('since', Instant(), nullable=False),
    sa.Column('until', Instant(), nullable=False),
    sa.Column('covered_ms', sa.BigInteger(), nullable=False),
    sa.Column('read_at', Instant(), nullable=False),
    sa.ForeignKeyConstraint(['account'], ['accounts.id'], name=op.f('fk_usage_account')),
    sa.PrimaryKeyConstraint('account', 'meter', 'hour', name=op.f('pk_usage'))
    )
    op.create_index('ix_usage_account_hour', 'usage', ['account', 'hour'], unique=False)
    op.create_table('outages',
    sa.Column('id', sa.String(), nullable=False),
    sa.Column('site', sa.String(), nullable=False),
    sa.Column('since', Instant(), nullable=False),
    sa.Column('until', Instant(), nullable=False),
    sa.Column('said_by', sa.String(), nullable=False),
    sa.Column('why', sa.Text(), nullable=False),
    sa.Column('said_at', Instant(), nullable=False),
    sa.Column('settled_at', Instant(), nullable=True),
    sa.ForeignKeyConstraint(['site'], ['sites.name'], name=op.f('fk_outages_site')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_outages'))
    )
    op.create_index('ix_outages_site', 'outages', ['site', 'since'], unique=False)
    op.create_table('credits',
    sa.Column('account', sa.String(), nullable=False),
    sa.Column('outage', sa.String(), nullable=False),
    sa.Column('seconds', sa.BigInteger(), nullable=False),
    sa.Column('outcome', sa.String(), nullable=False),
    sa.Column('at', Instant(), nullable=False),
    sa.ForeignKeyConstraint(['account'], ['accounts.id'], name=op.f('fk_credits_account')),
    sa.ForeignKeyConstraint(['outage'], ['outages.id'], name=op.f('fk_credits_outage')),
    sa.PrimaryKeyConstraint('account', 'outage', name=op.f('pk_credits'))
    )
    op.create_table('meter_rounds',
    sa.Column('site', sa.String(), nullable=False),
    sa.Column('what', sa.String(), nullable=False),
    sa.Column('due_at', Instant(), nullable=False),
    sa.ForeignKeyConstraint(['site'], ['sites.name'], name=op.f('fk_meter_rounds_site')),
    sa.PrimaryKeyConstraint('site', 'what', name=op.f('pk_meter_rounds'))
    )
