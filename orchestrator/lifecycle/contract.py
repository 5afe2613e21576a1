"""Rental contracts (租用合同): what an account is converted to, in place."""

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

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
    """`document` is the SHA-256 of the signed paper, in hex."""

    id: str
    account: str
    offer: str
    ends_at: datetime
    document: str
    state: ContractState = ContractState.PENDING
