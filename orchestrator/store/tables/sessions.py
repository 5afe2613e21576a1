"""Browsers that are signed in."""

from sqlalchemy import Column, ForeignKey, Index, String, Table

from orchestrator.store.instant import Instant
from orchestrator.store.tables.base import metadata

sessions = Table(
    "sessions", metadata,
    Column("id", String, primary_key=True),
    Column("digest", String, nullable=False),
    Column("token", String, ForeignKey("tokens.id")),
    Column("actor", String, nullable=False),
    Column("role", String, nullable=False),
    Column("made_at", Instant, nullable=False),
    Column("seen_at", Instant, nullable=False),
    Column("ends_at", Instant, nullable=False),
    Index("ix_sessions_ends_at", "ends_at"),
)
