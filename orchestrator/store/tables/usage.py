"""What was used, when a site could not be used, and what that was worth: readings, outages, credits."""

from sqlalchemy import BigInteger, Column, ForeignKey, Index, String, Table, Text

from orchestrator.store.instant import Instant
from orchestrator.store.tables.base import metadata

usage = Table(
    "usage", metadata,
    Column("account", String, ForeignKey("accounts.id"), primary_key=True),
    Column("meter", String, primary_key=True),
    Column("hour", Instant, primary_key=True),
    Column("amount", BigInteger, nullable=False),
    Column("since", Instant, nullable=False),
    Column("until", Instant, nullable=False),
    Column("covered_ms", BigInteger, nullable=False),
    Column("read_at", Instant, nullable=False),
    Index("ix_usage_account_hour", "account", "hour"),
)

outages = Table(
    "outages", metadata,
    Column("id", String, primary_key=True),
    Column("site", String, ForeignKey("sites.name"), nullable=False),
    Column("since", Instant, nullable=False),
    Column("until", Instant, nullable=False),
    Column("said_by", String, nullable=False),
    Column("why", Text, nullable=False),
    Column("said_at", Instant, nullable=False),
    Column("settled_at", Instant),
    Index("ix_outages_site", "site", "since"),
)

credits = Table(
    "credits", metadata,
    Column("account", String, ForeignKey("accounts.id"), primary_key=True),
    Column("outage", String, ForeignKey("outages.id"), primary_key=True),
    Column("seconds", BigInteger, nullable=False),
    Column("outcome", String, nullable=False),
    Column("at", Instant, nullable=False),
)

meter_rounds = Table(
    "meter_rounds", metadata,
    Column("site", String, ForeignKey("sites.name"), primary_key=True),
    Column("what", String, primary_key=True),
    Column("due_at", Instant, nullable=False),
)
