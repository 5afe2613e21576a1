"""What callbacks and certificates say about an account: ids, states and instants, never a name."""

from datetime import datetime
from typing import Any

from orchestrator.lifecycle.account import Account


def facts(account: Account) -> dict[str, Any]:
    """The part that every callback has."""
    return {
        "account": account.id, "redemption": account.redemption, "site": account.site, "offer": account.offer.name,
        "state": account.state.value, "begins_at": text(account.begins_at), "starts_at": text(account.starts_at),
        "ends_at": text(account.ends_at), "contract": account.contract,
    }


def text(at: datetime | None) -> str | None:
    """An instant as JSON has it: UTC, with its offset."""
    return None if at is None else at.isoformat()
