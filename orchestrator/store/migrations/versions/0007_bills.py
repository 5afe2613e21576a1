"""Closed bills; since when, and until when, a contract was in force."""

import sqlalchemy as sa
from alembic import op

from orchestrator.store.instant import Instant

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('bills',
    sa.Column('account', sa.String(), nullable=False),
    sa.Column('month', sa.String(), nullable=False),
    sa.Column('bill', sa.JSON(), nullable=False),
    sa.Column('closed_at', Instant(), nullable=False),
    sa.ForeignKeyConstraint(['account'], ['accounts.id'], name=op.f('fk_bills_account')),
    sa.PrimaryKeyConstraint('account', 'month', name=op.f('pk_bills'))
    )
    op.add_column('contracts', sa.Column('begun_at', Instant(), nullable=True))
    op.add_column('contracts', sa.Column('ended_at', Instant(), nullable=True))
    # What was in force before is in the journal; a contract that is over was so at its account's fence.
    op.execute("""UPDATE contracts SET begun_at = (SELECT max(journal.at) FROM journal
        WHERE journal.action = 'account.converted' AND journal.subject = contracts.account
        AND journal.facts LIKE '%"' || contracts.id || '"%') WHERE state IN ('active', 'ended')""")
    op.execute("""UPDATE contracts SET ended_at = (SELECT fenced_at FROM accounts WHERE accounts.id = contracts.account)
        WHERE state = 'ended'""")
