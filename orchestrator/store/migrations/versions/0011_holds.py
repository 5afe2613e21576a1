"""Everything's hold is one of its own, and from when on only a hold keeps an account is known without asking each."""

from datetime import timedelta

import sqlalchemy as sa
from alembic import op

from orchestrator.store.instant import Instant

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_accounts = sa.table("accounts", *(sa.column(name) for name in ("id", "state", "fenced_by", "reclaim_asked", "hold",
                                                                "site_hold", "owed")),
                     sa.column("since", Instant()), sa.column("ends_at", Instant()), sa.column("offer", sa.JSON()),
                     sa.column("kept_from", Instant()))


def upgrade() -> None:
    op.create_table('brakes',
    sa.Column('name', sa.String(), nullable=False),
    sa.PrimaryKeyConstraint('name', name=op.f('pk_brakes'))
    )
    op.add_column('accounts', sa.Column('all_hold', sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column('accounts', sa.Column('kept_from', Instant(), nullable=True))
    op.create_index('ix_accounts_kept_from', 'accounts', ['kept_from', 'site'], unique=False)
    rows = op.get_bind().execute(sa.select(_accounts).where(
        sa.or_(_accounts.c.hold == sa.true(), _accounts.c.site_hold == sa.true()), _accounts.c.owed.is_(None),
        _accounts.c.state.in_(["FENCED", "FAILED", "RECLAIMING"]))).all()
    for row in rows:
        at_end = row.state == "FENCED" and not row.reclaim_asked
        kept_from = row.ends_at + timedelta(seconds=row.offer["grace"]) if at_end else row.since
        op.execute(sa.update(_accounts).where(_accounts.c.id == row.id).values(kept_from=kept_from))
