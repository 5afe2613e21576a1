"""What can be had: sites, offers, and places held for accounts."""

from sqlalchemy import JSON, Boolean, Column, ForeignKey, Index, Integer, LargeBinary, String, Table

from orchestrator.store.instant import Instant
from orchestrator.store.tables.base import metadata

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

brakes = Table(
    "brakes", metadata,
    Column("name", String, primary_key=True),
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
