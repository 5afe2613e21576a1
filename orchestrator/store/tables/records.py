"""What was told and what was done: outbox and journal; who may ask: tokens; our own keys, sealed."""

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from orchestrator.store.instant import Instant
from orchestrator.store.tables.base import metadata

keys = Table(
    "keys", metadata,
    Column("name", String, primary_key=True),
    Column("sealed", LargeBinary, nullable=False),
)

outbox = Table(
    "outbox", metadata,
    Column("id", String, primary_key=True),
    Column("channel", String, nullable=False, server_default="callback"),
    Column("sender", String, ForeignKey("senders.id"), nullable=False),
    Column("type", String, nullable=False),
    Column("account", String, nullable=False),
    Column("data", JSON, nullable=False),
    Column("at", Instant, nullable=False),
    Column("due_at", Instant),
    Column("attempts", Integer, nullable=False),
    Column("error", Text),
    Column("sent_at", Instant),
    Column("resent_at", Instant),
    Column("worker", String),
    Index("ix_outbox_due_at", "due_at", "sender", "id"),
    Index("ix_outbox_at", "at", "id"),
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
