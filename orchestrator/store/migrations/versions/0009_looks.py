"""Whether sites answer: the last look at each."""

import sqlalchemy as sa
from alembic import op

from orchestrator.store.instant import Instant

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('looks',
    sa.Column('site', sa.String(), nullable=False),
    sa.Column('asked_at', Instant(), nullable=False),
    sa.Column('answered_at', Instant(), nullable=True),
    sa.Column('silent_since', Instant(), nullable=True),
    sa.Column('offset_ms', sa.BigInteger(), nullable=True),
    sa.Column('error', sa.Text(), nullable=False),
    sa.Column('remedy', sa.Text(), nullable=False),
    sa.ForeignKeyConstraint(['site'], ['sites.name'], name=op.f('fk_looks_site')),
    sa.PrimaryKeyConstraint('site', name=op.f('pk_looks'))
    )
