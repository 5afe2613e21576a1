"""Programmes, grants, sums, draws, price lists, contracts' papers, subsidies."""

import sqlalchemy as sa
from alembic import op

from orchestrator.store.instant import Instant

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('balances',
    sa.Column('account', sa.String(), nullable=False),
    sa.Column('unit', sa.String(), nullable=False),
    sa.Column('amount', sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint('account', name=op.f('pk_balances'))
    )
    op.create_table('grants',
    sa.Column('digest', sa.String(), nullable=False),
    sa.Column('programme', sa.String(), nullable=False),
    sa.Column('worth', sa.BigInteger(), nullable=False),
    sa.Column('bound', sa.String(), nullable=True),
    sa.Column('entity', sa.String(), nullable=True),
    sa.Column('account', sa.String(), nullable=True),
    sa.Column('entry', sa.String(), nullable=True),
    sa.Column('priority', sa.Boolean(), nullable=False),
    sa.Column('clock_started_at', Instant(), nullable=True),
    sa.PrimaryKeyConstraint('digest', name=op.f('pk_grants'))
    )
    op.create_index('ix_grants_account', 'grants', ['account'], unique=False)
    op.create_index('ix_grants_bound', 'grants', ['bound'], unique=False)
    op.create_table('postings',
    sa.Column('entry', sa.String(), nullable=False),
    sa.Column('line', sa.Integer(), nullable=False),
    sa.Column('account', sa.String(), nullable=False),
    sa.Column('unit', sa.String(), nullable=False),
    sa.Column('amount', sa.BigInteger(), nullable=False),
    sa.Column('at', Instant(), nullable=False),
    sa.Column('why', sa.Text(), nullable=False),
    sa.PrimaryKeyConstraint('entry', 'line', name=op.f('pk_postings'))
    )
    op.create_index('ix_postings_account', 'postings', ['account'], unique=False)
    op.create_table('prices',
    sa.Column('name', sa.String(), nullable=False),
    sa.Column('prices', sa.JSON(), nullable=False),
    sa.PrimaryKeyConstraint('name', name=op.f('pk_prices'))
    )
    op.create_table('programmes',
    sa.Column('name', sa.String(), nullable=False),
    sa.Column('programme', sa.JSON(), nullable=False),
    sa.PrimaryKeyConstraint('name', name=op.f('pk_programmes'))
    )
    op.create_table('subsidies',
    sa.Column('payment', sa.String(), nullable=False),
    sa.Column('programme', sa.String(), nullable=False),
    sa.Column('entity', sa.String(), nullable=False),
    sa.Column('paid', sa.BigInteger(), nullable=False),
    sa.Column('amount', sa.BigInteger(), nullable=False),
    sa.Column('evidence', sa.JSON(), nullable=False),
    sa.Column('at', Instant(), nullable=False),
    sa.PrimaryKeyConstraint('payment', name=op.f('pk_subsidies'))
    )
    op.create_table('draws',
    sa.Column('name', sa.String(), nullable=False),
    sa.Column('programme', sa.String(), nullable=False),
    sa.Column('sender', sa.String(), nullable=False),
    sa.Column('closes_at', Instant(), nullable=False),
    sa.Column('prizes', sa.JSON(), nullable=False),
    sa.Column('state', sa.String(), nullable=False),
    sa.Column('published', sa.JSON(none_as_null=True), nullable=True),
    sa.Column('claim_by', Instant(), nullable=True),
    sa.ForeignKeyConstraint(['sender'], ['senders.id'], name=op.f('fk_draws_sender')),
    sa.PrimaryKeyConstraint('name', name=op.f('pk_draws'))
    )
    op.create_table('draw_entries',
    sa.Column('draw', sa.String(), nullable=False),
    sa.Column('entrant', sa.String(), nullable=False),
    sa.Column('holder', sa.String(), nullable=False),
    sa.Column('priority', sa.Boolean(), nullable=False),
    sa.Column('at', Instant(), nullable=False),
    sa.Column('voucher', sa.String(), nullable=True),
    sa.Column('prize', sa.BigInteger(), nullable=True),
    sa.ForeignKeyConstraint(['draw'], ['draws.name'], name=op.f('fk_draw_entries_draw')),
    sa.ForeignKeyConstraint(['holder'], ['holders.ref'], name=op.f('fk_draw_entries_holder')),
    sa.PrimaryKeyConstraint('draw', 'entrant', name=op.f('pk_draw_entries'))
    )
    op.create_table('papers',
    sa.Column('id', sa.String(), nullable=False),
    sa.Column('account', sa.String(), nullable=False),
    sa.Column('offer', sa.String(), nullable=False),
    sa.Column('ends_at', Instant(), nullable=False),
    sa.Column('state', sa.String(), nullable=False),
    sa.Column('terms', sa.JSON(), nullable=False),
    sa.Column('document', sa.LargeBinary(), nullable=True),
    sa.Column('digest', sa.String(), nullable=True),
    sa.Column('made_at', Instant(), nullable=False),
    sa.Column('signed_at', Instant(), nullable=True),
    sa.Column('signed_by', sa.String(), nullable=True),
    sa.ForeignKeyConstraint(['account'], ['accounts.id'], name=op.f('fk_papers_account')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_papers'))
    )
    op.create_index('ix_papers_account', 'papers', ['account'], unique=False)
    op.create_index('ix_accounts_holder', 'accounts', ['holder'], unique=False)
