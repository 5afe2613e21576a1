"""Bills that were closed: what an account owes for a month, as it stands for good."""

from sqlalchemy import JSON, Column, ForeignKey, String, Table

from orchestrator.store.instant import Instant
from orchestrator.store.tables.base import metadata

bills = Table(
    "bills", metadata,
    Column("account", String, ForeignKey("accounts.id"), primary_key=True),
    Column("month", String, primary_key=True),
    Column("bill", JSON, nullable=False),
    Column("closed_at", Instant, nullable=False),
)
