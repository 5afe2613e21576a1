"""What a sender asks for when a voucher is redeemed."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from orchestrator.lifecycle.holder import Holder


@dataclass(frozen=True, slots=True)
class Redeem:
    """One `voucher.redeemed` event whose signature and shape were checked at the door.

    `hours`, `valid_from` and `valid_until` count only for senders whose payload is trusted.
    """

    event: str
    body_hash: str
    voucher: str
    holder: Holder
    offer: str | None = None
    hours: int | None = None
    valid_from: datetime | None = None
    valid_until: datetime | None = None
    ssh_public_key: str | None = None
    programme: str | None = None
    """The voucher's programme; a trusted sender's payload decides it, another's may only repeat it."""
    amount: Decimal | None = None
    """What the voucher is worth, in the programme's unit; trusted senders only."""
    account: str | None = None
    """The account whose contract's bill a cash voucher comes off."""
    begins_at: datetime | None = None
    """When the account is to begin; None: at once, or when its programme says."""
