"""Rental contracts (租用合同): what an account is converted to, in place."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum

from orchestrator.lifecycle.account import Account

OPEN_END = datetime(2999, 12, 31, tzinfo=UTC)
"""The end of a contract that is open: an end is never null, at the site least of all."""


class ContractState(StrEnum):
    PENDING = "pending"
    ACCEPTED = "accepted"
    """The preview replaces nothing; only the site's answer is still out. From here on a repetition never asks again."""
    ACTIVE = "active"
    REFUSED = "refused"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Contract:
    """`document` is the SHA-256 of the signed paper, in hex. In force from `begun_at`, until `ended_at` once over."""

    id: str
    account: str
    offer: str
    ends_at: datetime
    document: str
    state: ContractState = ContractState.PENDING
    begun_at: datetime | None = None
    ended_at: datetime | None = None

    def until(self, account: Account) -> datetime:
        """Until when it is, or was, in force: its account's end, or the fence before it."""
        if self.ended_at is not None:
            return self.ended_at
        if account.contract != self.id or account.ends_at is None:
            return self.ends_at
        return min(account.ends_at, account.fenced_at or account.ends_at)

    def end(self, account: Account, now: datetime) -> "Contract":
        """Over, at the fence that ended it."""
        return replace(self, state=ContractState.ENDED, ended_at=min(self.until(account), now))
