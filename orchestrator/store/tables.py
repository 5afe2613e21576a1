"""All tables. Accounts, redemptions and the journal lose no rows; personal data is in `holders` alone."""

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from orchestrator.store.instant import Instant

metadata = MetaData(naming_convention={
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
})

keys = Table(
    "keys", metadata,
    Column("name", String, primary_key=True),
    Column("sealed", LargeBinary, nullable=False),
)

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
)

contracts = Table(
    "contracts", metadata,
    Column("account", String, ForeignKey("accounts.id"), primary_key=True),
    Column("id", String, primary_key=True),
    Column("offer", String, nullable=False),
    Column("ends_at", Instant, nullable=False),
    Column("document", String, nullable=False),
    Column("state", String, nullable=False),
)

claims = Table(
    "claims", metadata,
    Column("account", String, ForeignKey("accounts.id"), primary_key=True),
    Column("fingerprint", String, nullable=False),
    Column("public_key", Text, nullable=False),
    Column("credential", JSON, nullable=False),
    Column("at", Instant, nullable=False),
)

sites = Table(
    "sites", metadata,
    Column("name", String, primary_key=True),
    Column("kind", String, nullable=False),
    Column("tier", String, nullable=False),
    Column("labels", JSON, nullable=False),
    Column("settings", JSON, nullable=False),
    Column("order", Integer, nullable=False),
    Column("drained", Boolean, nullable=False),
    Column("held", Boolean, nullable=False),
    Column("secrets", LargeBinary),
)

offers = Table(
    "offers", metadata,
    Column("name", String, primary_key=True),
    Column("offer", JSON, nullable=False),
)

places = Table(
    "places", metadata,
    Column("id", Integer, primary_key=True),
    Column("site", String, ForeignKey("sites.name"), nullable=False),
    Column("offer", String, ForeignKey("offers.name"), nullable=False),
    Column("count", Integer, nullable=False),
    Column("from", Instant, nullable=False),
    Column("until", Instant, nullable=False),
    Index("ix_places_site_offer", "site", "offer"),
)

holds = Table(
    "holds", metadata,
    Column("account", String, primary_key=True),
    Column("site", String, nullable=False),
    Column("offer", String, nullable=False),
    Column("start", Instant, nullable=False),
    Column("until", Instant, nullable=False),
    Index("ix_holds_place", "site", "offer", "start", "until"),
)

outbox = Table(
    "outbox", metadata,
    Column("id", String, primary_key=True),
    Column("sender", String, ForeignKey("senders.id"), nullable=False),
    Column("type", String, nullable=False),
    Column("account", String, nullable=False),
    Column("data", JSON, nullable=False),
    Column("at", Instant, nullable=False),
    Column("due_at", Instant),
    Column("attempts", Integer, nullable=False),
    Column("error", Text),
    Column("sent_at", Instant),
    Column("worker", String),
    Index("ix_outbox_due_at", "due_at", "sender", "id"),
    Index("ix_outbox_account", "account"),
)

journal = Table(
    "journal", metadata,
    Column("id", String, primary_key=True),
    Column("at", Instant, nullable=False),
    Column("action", String, nullable=False),
    Column("subject", String, nullable=False),
    Column("actor", String, nullable=False),
    Column("why", Text, nullable=False),
    Column("facts", Text, nullable=False),
    Column("position", BigInteger),
    Column("chain", String),
    UniqueConstraint("position"),
    Index("ix_journal_subject", "subject", "at"),
)

tokens = Table(
    "tokens", metadata,
    Column("id", String, primary_key=True),
    Column("name", String, nullable=False),
    Column("role", String, nullable=False),
    Column("sender", String, ForeignKey("senders.id")),
    Column("digest", String, nullable=False),
    Column("made_at", Instant, nullable=False),
    Column("revoked_at", Instant),
)

certificates = Table(
    "certificates", metadata,
    Column("account", String, ForeignKey("accounts.id"), primary_key=True),
    Column("document", LargeBinary, nullable=False),
    Column("signature", LargeBinary, nullable=False),
    Column("at", Instant, nullable=False),
)

programmes = Table(
    "programmes", metadata,
    Column("name", String, primary_key=True),
    Column("programme", JSON, nullable=False),
)

grants = Table(
    "grants", metadata,
    Column("digest", String, primary_key=True),
    Column("programme", String, nullable=False),
    Column("worth", BigInteger, nullable=False),
    Column("bound", String),
    Column("entity", String),
    Column("account", String),
    Column("entry", String),
    Column("priority", Boolean, nullable=False),
    Column("clock_started_at", Instant),
    Index("ix_grants_account", "account"),
    Index("ix_grants_bound", "bound"),
)

balances = Table(
    "balances", metadata,
    Column("account", String, primary_key=True),
    Column("unit", String, nullable=False),
    Column("amount", BigInteger, nullable=False),
)

postings = Table(
    "postings", metadata,
    Column("entry", String, primary_key=True),
    Column("line", Integer, primary_key=True),
    Column("account", String, nullable=False),
    Column("unit", String, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("at", Instant, nullable=False),
    Column("why", Text, nullable=False),
    Index("ix_postings_account", "account"),
)

draws = Table(
    "draws", metadata,
    Column("name", String, primary_key=True),
    Column("programme", String, nullable=False),
    Column("sender", String, ForeignKey("senders.id"), nullable=False),
    Column("closes_at", Instant, nullable=False),
    Column("prizes", JSON, nullable=False),
    Column("state", String, nullable=False),
    Column("published", JSON(none_as_null=True)),
    Column("claim_by", Instant),
)

draw_entries = Table(
    "draw_entries", metadata,
    Column("draw", String, ForeignKey("draws.name"), primary_key=True),
    Column("entrant", String, primary_key=True),
    Column("holder", String, ForeignKey("holders.ref"), nullable=False),
    Column("priority", Boolean, nullable=False),
    Column("at", Instant, nullable=False),
    Column("voucher", String),
    Column("prize", BigInteger),
)

prices = Table(
    "prices", metadata,
    Column("name", String, primary_key=True),
    Column("prices", JSON, nullable=False),
)

papers = Table(
    "papers", metadata,
    Column("id", String, primary_key=True),
    Column("account", String, ForeignKey("accounts.id"), nullable=False),
    Column("offer", String, nullable=False),
    Column("ends_at", Instant, nullable=False),
    Column("state", String, nullable=False),
    Column("terms", JSON, nullable=False),
    Column("document", LargeBinary),
    Column("digest", String),
    Column("made_at", Instant, nullable=False),
    Column("signed_at", Instant),
    Column("signed_by", String),
    Index("ix_papers_account", "account"),
)

subsidies = Table(
    "subsidies", metadata,
    Column("payment", String, primary_key=True),
    Column("programme", String, nullable=False),
    Column("entity", String, nullable=False),
    Column("paid", BigInteger, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("evidence", JSON, nullable=False),
    Column("at", Instant, nullable=False),
)
