"""All tables. Accounts, redemptions and the journal lose no rows; personal data is in `holders` alone."""

from orchestrator.store.tables.base import metadata
from orchestrator.store.tables.bills import bills
from orchestrator.store.tables.looks import looks
from orchestrator.store.tables.records import journal, keys, outbox, tokens
from orchestrator.store.tables.sessions import sessions
from orchestrator.store.tables.sums import (
    balances,
    draw_entries,
    draws,
    grants,
    papers,
    postings,
    prices,
    programmes,
    subsidies,
)
from orchestrator.store.tables.supply import brakes, holds, offers, places, sites
from orchestrator.store.tables.tenancies import (
    accounts,
    certificates,
    claims,
    contracts,
    holders,
    redemptions,
    senders,
    vouchers,
)
from orchestrator.store.tables.usage import credits, meter_rounds, outages, usage

__all__ = [
    "accounts", "balances", "bills", "brakes", "certificates", "claims", "contracts", "credits", "draw_entries",
    "draws", "grants", "holders", "holds", "journal", "keys", "looks", "metadata", "meter_rounds", "offers", "outages",
    "outbox", "papers", "places", "postings", "prices", "programmes", "redemptions", "senders", "sessions", "sites",
    "subsidies", "tokens", "usage", "vouchers",
]
