"""Small makers for the tests of the rules."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from orchestrator.lifecycle.account import Account, State
from orchestrator.lifecycle.offer import Offer

NOW = datetime(2028, 2, 28, 23, tzinfo=UTC)
HOUR = timedelta(hours=1)
OFFER = Offer("small", 1, 500, 2**26, 64, 2**27, 10**7, 10**9, duration=24 * HOUR, images=("busybox",),
              warn_before=(HOUR / 6, HOUR), grace=72 * HOUR)
END = NOW + OFFER.duration


def account(state: State, **fields: Any) -> Account:
    """An account that came to this state now, its lease begun now."""
    base = Account("aaaaaaaaaa", "event", "site", OFFER, state, NOW, 1, NOW + OFFER.provision_within,
                   starts_at=NOW, ends_at=END)
    return replace(base, **fields)
