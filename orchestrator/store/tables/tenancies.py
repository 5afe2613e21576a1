"""Accounts and who has them: senders, holders, vouchers, redemptions, accounts, their contracts and claims."""

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
    true,
)

from orchestrator.store.instant import Instant
from orchestrator.store.tables.base import metadata

senders = Table(
    "senders", metadata,
    Column("id", String, primary_key=True),
    Column("name", String, nullable=False, unique=True),
    Column("trusts", String, nullable=False),
    Column("callback_url", String),
    Column("secret", LargeBinary, nullable=False),
    Column("previous", LargeBinary),
    Column("previous_until", Instant),
    Column("added_at", Instant, nullable=False),
    Column("mail", Boolean, nullable=False, server_default=true()),
)

holders = Table(
    "holders", metadata,
    Column("ref", String, primary_key=True),
    Column("sender", String, ForeignKey("senders.id"), nullable=False),
    Column("sealed", LargeBinary),
    Column("erased_at", Instant),
)

vouchers = Table(
    "vouchers", metadata,
    Column("digest", String, primary_key=True),
    Column("sender", String, ForeignKey("senders.id"), nullable=False),
    Column("offer", String, nullable=False),
    Column("state", String, nullable=False),
    Column("valid_from", Instant, nullable=False),
    Column("valid_until", Instant, nullable=False),
    Column("redeemed_at", Instant),
    Index("ix_vouchers_state_valid_until", "state", "valid_until"),
)

redemptions = Table(
    "redemptions", metadata,
    Column("sender", String, ForeignKey("senders.id"), primary_key=True),
    Column("id", String, primary_key=True),
    Column("body_hash", String, nullable=False),
    Column("voucher", String),
    Column("account", String, nullable=False),
    Column("at", Instant, nullable=False),
    Index("ix_redemptions_account", "account"),
)

accounts = Table(
    "accounts", metadata,
    Column("id", String, primary_key=True),
    Column("sender", String, ForeignKey("senders.id"), nullable=False),
    Column("redemption", String, nullable=False),
    Column("holder", String, ForeignKey("holders.ref"), nullable=False),
    Column("site", String, ForeignKey("sites.name"), nullable=False),
    Column("offer", JSON, nullable=False),
    Column("state", String, nullable=False),
    Column("since", Instant, nullable=False),
    Column("generation", BigInteger, nullable=False),
    Column("provision_by", Instant, nullable=False),
    Column("begins_at", Instant),
    Column("prepare_at", Instant),
    Column("prepared_at", Instant),
    Column("starts_at", Instant),
    Column("ends_at", Instant),
    Column("fenced_at", Instant),
    Column("fenced_by", String),
    Column("warned", Integer, nullable=False),
    Column("contract", String),
    Column("convert_asked", Boolean, nullable=False),
    Column("reclaim_asked", Boolean, nullable=False),
    Column("hold", Boolean, nullable=False),
    Column("site_hold", Boolean, nullable=False),
    Column("all_hold", Boolean, nullable=False),
    Column("kept_from", Instant),
    Column("owed", String),
    Column("due_at", Instant),
    Column("retry_of", String),
    Column("retry_at", Instant),
    Column("attempts", Integer, nullable=False),
    Column("claimed_until", Instant),
    Column("worker", String),
    Column("stuck", JSON(none_as_null=True)),
    Column("inventory", JSON(none_as_null=True)),
    Index("ix_accounts_due", "owed", "due_at", "site", "id"),
    Index("ix_accounts_site_state", "site", "state"),
    Index("ix_accounts_sender", "sender", "id"),
    Index("ix_accounts_ends_at", "ends_at"),
    Index("ix_accounts_holder", "holder"),
    Index("ix_accounts_state_ends_at", "state", "ends_at", "site"),
    Index("ix_accounts_fenced_at", "fenced_at"),
    Index("ix_accounts_begins_at", "begins_at"),
    Index("ix_accounts_kept_from", "kept_from", "site"),
)
# Few are stuck: the index holds those alone.
Index("ix_accounts_stuck", accounts.c.site, accounts.c.id,
      sqlite_where=accounts.c.stuck.is_not(None), postgresql_where=accounts.c.stuck.is_not(None))

contracts = Table(
    "contracts", metadata,
    Column("account", String, ForeignKey("accounts.id"), primary_key=True),
    Column("id", String, primary_key=True),
    Column("offer", String, nullable=False),
    Column("ends_at", Instant, nullable=False),
    Column("document", String, nullable=False),
    Column("state", String, nullable=False),
    Column("begun_at", Instant),
    Column("ended_at", Instant),
)

claims = Table(
    "claims", metadata,
    Column("account", String, ForeignKey("accounts.id"), primary_key=True),
    Column("fingerprint", String, nullable=False),
    Column("public_key", Text, nullable=False),
    Column("credential", JSON, nullable=False),
    Column("at", Instant, nullable=False),
)

certificates = Table(
    "certificates", metadata,
    Column("account", String, ForeignKey("accounts.id"), primary_key=True),
    Column("document", LargeBinary, nullable=False),
    Column("signature", LargeBinary, nullable=False),
    Column("at", Instant, nullable=False),
)
