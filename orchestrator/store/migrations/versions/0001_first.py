"""The first tables."""

import sqlalchemy as sa
from alembic import op

from orchestrator.store.instant import Instant

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('holds',
    sa.Column('account', sa.String(), nullable=False),
    sa.Column('site', sa.String(), nullable=False),
    sa.Column('offer', sa.String(), nullable=False),
    sa.Column('start', Instant(), nullable=False),
    sa.Column('until', Instant(), nullable=False),
    sa.PrimaryKeyConstraint('account', name=op.f('pk_holds'))
    )
    op.create_index('ix_holds_place', 'holds', ['site', 'offer', 'start', 'until'], unique=False)
    op.create_table('journal',
    sa.Column('id', sa.String(), nullable=False),
    sa.Column('at', Instant(), nullable=False),
    sa.Column('action', sa.String(), nullable=False),
    sa.Column('subject', sa.String(), nullable=False),
    sa.Column('actor', sa.String(), nullable=False),
    sa.Column('why', sa.Text(), nullable=False),
    sa.Column('facts', sa.Text(), nullable=False),
    sa.Column('position', sa.BigInteger(), nullable=True),
    sa.Column('chain', sa.String(), nullable=True),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_journal')),
    sa.UniqueConstraint('position', name=op.f('uq_journal_position'))
    )
    op.create_index('ix_journal_subject', 'journal', ['subject', 'at'], unique=False)
    op.create_table('keys',
    sa.Column('name', sa.String(), nullable=False),
    sa.Column('sealed', sa.LargeBinary(), nullable=False),
    sa.PrimaryKeyConstraint('name', name=op.f('pk_keys'))
    )
    op.create_table('offers',
    sa.Column('name', sa.String(), nullable=False),
    sa.Column('offer', sa.JSON(), nullable=False),
    sa.PrimaryKeyConstraint('name', name=op.f('pk_offers'))
    )
    op.create_table('senders',
    sa.Column('id', sa.String(), nullable=False),
    sa.Column('name', sa.String(), nullable=False),
    sa.Column('trusts', sa.String(), nullable=False),
    sa.Column('callback_url', sa.String(), nullable=True),
    sa.Column('secret', sa.LargeBinary(), nullable=False),
    sa.Column('previous', sa.LargeBinary(), nullable=True),
    sa.Column('previous_until', Instant(), nullable=True),
    sa.Column('added_at', Instant(), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_senders')),
    sa.UniqueConstraint('name', name=op.f('uq_senders_name'))
    )
    op.create_table('sites',
    sa.Column('name', sa.String(), nullable=False),
    sa.Column('kind', sa.String(), nullable=False),
    sa.Column('tier', sa.String(), nullable=False),
    sa.Column('labels', sa.JSON(), nullable=False),
    sa.Column('settings', sa.JSON(), nullable=False),
    sa.Column('order', sa.Integer(), nullable=False),
    sa.Column('drained', sa.Boolean(), nullable=False),
    sa.Column('held', sa.Boolean(), nullable=False),
    sa.Column('secrets', sa.LargeBinary(), nullable=True),
    sa.PrimaryKeyConstraint('name', name=op.f('pk_sites'))
    )
    op.create_table('holders',
    sa.Column('ref', sa.String(), nullable=False),
    sa.Column('sender', sa.String(), nullable=False),
    sa.Column('sealed', sa.LargeBinary(), nullable=True),
    sa.Column('erased_at', Instant(), nullable=True),
    sa.ForeignKeyConstraint(['sender'], ['senders.id'], name=op.f('fk_holders_sender')),
    sa.PrimaryKeyConstraint('ref', name=op.f('pk_holders'))
    )
    op.create_table('outbox',
    sa.Column('id', sa.String(), nullable=False),
    sa.Column('sender', sa.String(), nullable=False),
    sa.Column('type', sa.String(), nullable=False),
    sa.Column('account', sa.String(), nullable=False),
    sa.Column('data', sa.JSON(), nullable=False),
    sa.Column('at', Instant(), nullable=False),
    sa.Column('due_at', Instant(), nullable=True),
    sa.Column('attempts', sa.Integer(), nullable=False),
    sa.Column('error', sa.Text(), nullable=True),
    sa.Column('sent_at', Instant(), nullable=True),
    sa.Column('worker', sa.String(), nullable=True),
    sa.ForeignKeyConstraint(['sender'], ['senders.id'], name=op.f('fk_outbox_sender')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_outbox'))
    )
    op.create_index('ix_outbox_account', 'outbox', ['account'], unique=False)
    op.create_index('ix_outbox_due_at', 'outbox', ['due_at', 'sender', 'id'], unique=False)
    op.create_table('places',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('site', sa.String(), nullable=False),
    sa.Column('offer', sa.String(), nullable=False),
    sa.Column('count', sa.Integer(), nullable=False),
    sa.Column('from', Instant(), nullable=False),
    sa.Column('until', Instant(), nullable=False),
    sa.ForeignKeyConstraint(['offer'], ['offers.name'], name=op.f('fk_places_offer')),
    sa.ForeignKeyConstraint(['site'], ['sites.name'], name=op.f('fk_places_site')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_places'))
    )
    op.create_index('ix_places_site_offer', 'places', ['site', 'offer'], unique=False)
    op.create_table('redemptions',
    sa.Column('sender', sa.String(), nullable=False),
    sa.Column('id', sa.String(), nullable=False),
    sa.Column('body_hash', sa.String(), nullable=False),
    sa.Column('voucher', sa.String(), nullable=True),
    sa.Column('account', sa.String(), nullable=False),
    sa.Column('at', Instant(), nullable=False),
    sa.ForeignKeyConstraint(['sender'], ['senders.id'], name=op.f('fk_redemptions_sender')),
    sa.PrimaryKeyConstraint('sender', 'id', name=op.f('pk_redemptions'))
    )
    op.create_index('ix_redemptions_account', 'redemptions', ['account'], unique=False)
    op.create_table('tokens',
    sa.Column('id', sa.String(), nullable=False),
    sa.Column('name', sa.String(), nullable=False),
    sa.Column('role', sa.String(), nullable=False),
    sa.Column('sender', sa.String(), nullable=True),
    sa.Column('digest', sa.String(), nullable=False),
    sa.Column('made_at', Instant(), nullable=False),
    sa.Column('revoked_at', Instant(), nullable=True),
    sa.ForeignKeyConstraint(['sender'], ['senders.id'], name=op.f('fk_tokens_sender')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_tokens'))
    )
    op.create_table('vouchers',
    sa.Column('digest', sa.String(), nullable=False),
    sa.Column('sender', sa.String(), nullable=False),
    sa.Column('offer', sa.String(), nullable=False),
    sa.Column('state', sa.String(), nullable=False),
    sa.Column('valid_from', Instant(), nullable=False),
    sa.Column('valid_until', Instant(), nullable=False),
    sa.Column('redeemed_at', Instant(), nullable=True),
    sa.ForeignKeyConstraint(['sender'], ['senders.id'], name=op.f('fk_vouchers_sender')),
    sa.PrimaryKeyConstraint('digest', name=op.f('pk_vouchers'))
    )
    op.create_index('ix_vouchers_state_valid_until', 'vouchers', ['state', 'valid_until'], unique=False)
    op.create_table('accounts',
    sa.Column('id', sa.String(), nullable=False),
    sa.Column('sender', sa.String(), nullable=False),
    sa.Column('redemption', sa.String(), nullable=False),
    sa.Column('holder', sa.String(), nullable=False),
    sa.Column('site', sa.String(), nullable=False),
    sa.Column('offer', sa.JSON(), nullable=False),
    sa.Column('state', sa.String(), nullable=False),
    sa.Column('since', Instant(), nullable=False),
    sa.Column('generation', sa.BigInteger(), nullable=False),
    sa.Column('provision_by', Instant(), nullable=False),
    sa.Column('starts_at', Instant(), nullable=True),
    sa.Column('ends_at', Instant(), nullable=True),
    sa.Column('fenced_at', Instant(), nullable=True),
    sa.Column('fenced_by', sa.String(), nullable=True),
    sa.Column('warned', sa.Integer(), nullable=False),
    sa.Column('contract', sa.String(), nullable=True),
    sa.Column('convert_asked', sa.Boolean(), nullable=False),
    sa.Column('reclaim_asked', sa.Boolean(), nullable=False),
    sa.Column('hold', sa.Boolean(), nullable=False),
    sa.Column('site_hold', sa.Boolean(), nullable=False),
    sa.Column('owed', sa.String(), nullable=True),
    sa.Column('due_at', Instant(), nullable=True),
    sa.Column('retry_of', sa.String(), nullable=True),
    sa.Column('retry_at', Instant(), nullable=True),
    sa.Column('attempts', sa.Integer(), nullable=False),
    sa.Column('claimed_until', Instant(), nullable=True),
    sa.Column('worker', sa.String(), nullable=True),
    sa.Column('stuck', sa.JSON(none_as_null=True), nullable=True),
    sa.Column('inventory', sa.JSON(none_as_null=True), nullable=True),
    sa.ForeignKeyConstraint(['holder'], ['holders.ref'], name=op.f('fk_accounts_holder')),
    sa.ForeignKeyConstraint(['sender'], ['senders.id'], name=op.f('fk_accounts_sender')),
    sa.ForeignKeyConstraint(['site'], ['sites.name'], name=op.f('fk_accounts_site')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_accounts'))
    )
    op.create_index('ix_accounts_due', 'accounts', ['owed', 'due_at', 'site', 'id'], unique=False)
    op.create_index('ix_accounts_ends_at', 'accounts', ['ends_at'], unique=False)
    op.create_index('ix_accounts_sender', 'accounts', ['sender', 'id'], unique=False)
    op.create_index('ix_accounts_site_state', 'accounts', ['site', 'state'], unique=False)
    op.create_table('certificates',
    sa.Column('account', sa.String(), nullable=False),
    sa.Column('document', sa.LargeBinary(), nullable=False),
    sa.Column('signature', sa.LargeBinary(), nullable=False),
    sa.Column('at', Instant(), nullable=False),
    sa.ForeignKeyConstraint(['account'], ['accounts.id'], name=op.f('fk_certificates_account')),
    sa.PrimaryKeyConstraint('account', name=op.f('pk_certificates'))
    )
    op.create_table('claims',
    sa.Column('account', sa.String(), nullable=False),
    sa.Column('fingerprint', sa.String(), nullable=False),
    sa.Column('public_key', sa.Text(), nullable=False),
    sa.Column('credential', sa.JSON(), nullable=False),
    sa.Column('at', Instant(), nullable=False),
    sa.ForeignKeyConstraint(['account'], ['accounts.id'], name=op.f('fk_claims_account')),
    sa.PrimaryKeyConstraint('account', name=op.f('pk_claims'))
    )
    op.create_table('contracts',
    sa.Column('account', sa.String(), nullable=False),
    sa.Column('id', sa.String(), nullable=False),
    sa.Column('offer', sa.String(), nullable=False),
    sa.Column('ends_at', Instant(), nullable=False),
    sa.Column('document', sa.String(), nullable=False),
    sa.Column('state', sa.String(), nullable=False),
    sa.ForeignKeyConstraint(['account'], ['accounts.id'], name=op.f('fk_contracts_account')),
    sa.PrimaryKeyConstraint('account', 'id', name=op.f('pk_contracts'))
    )
