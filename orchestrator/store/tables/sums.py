"""Programmes and money: grants, double-entry sums, draws, price lists, contracts' papers, subsidies."""

from sqlalchemy import JSON, BigInteger, Boolean, Column, ForeignKey, Index, Integer, LargeBinary, String, Table, Text

from orchestrator.store.instant import Instant
from orchestrator.store.tables.base import metadata

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
    Column("claim_within", BigInteger),
    Column("use_within", BigInteger),
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
