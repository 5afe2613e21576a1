"""What senders and holders are told: put into the outbox in the transaction of what it tells, sent by `notify`."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from orchestrator.flows.context import Context
from orchestrator.store import outbox, senders
from orchestrator.store.engine import Tx

MAILED = frozenset({
    "account.redeemed", "account.usable", "account.failed", "account.warning", "account.extended", "account.fenced",
    "account.unfenced", "account.grace_ends", "account.reclaimed", "account.notice",
    "booking.moved", "booking.cancelled",
    "contract.drafted", "contract.signed", "contract.active", "contract.refused", "contract.ending",
})
"""What holders are written about, too. `account.converted` is `contract.active` in a sender's words."""


def tell(ctx: Context, tx: Tx, sender: str, type: str, account: str, data: Mapping[str, Any],
         at: datetime | None = None) -> None:
    """Tell the sender and, where mail is set up and the sender has not declined it, the holder; now, or at `at`."""
    at = at or ctx.clock()
    outbox.put(tx, sender, type, account, data, at)
    if type in MAILED and ctx.settings.mail is not None and senders.wants_mail(tx, sender):
        outbox.put(tx, sender, type, account, data, at, outbox.MAIL)
