"""Whether sites answer: the last time that each was asked."""

from sqlalchemy import BigInteger, Column, ForeignKey, String, Table, Text

from orchestrator.store.instant import Instant
from orchestrator.store.tables.base import metadata

looks = Table(
    "looks", metadata,
    Column("site", String, ForeignKey("sites.name"), primary_key=True),
    Column("asked_at", Instant, nullable=False),
    Column("answered_at", Instant),
    Column("silent_since", Instant),
    Column("offset_ms", BigInteger),
    Column("error", Text, nullable=False),
    Column("remedy", Text, nullable=False),
)
