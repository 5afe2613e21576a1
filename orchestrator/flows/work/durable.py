"""The flows that take seconds and may be begun again from the top: provision, convert, reclaim."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from orchestrator.flows.accounts.convert import convert
from orchestrator.flows.accounts.provision import provision
from orchestrator.flows.context import Context
from orchestrator.flows.endings.reclaim import reclaim
from orchestrator.flows.trouble import LONGEST_PAUSE, Trouble, later, tried
from orchestrator.lifecycle.account import Account
from orchestrator.lifecycle.due import Owed
from orchestrator.store.accounts import Claimed

DURABLE: Mapping[Owed, Callable[[Context, Claimed], None]] = {
    Owed.PROVISION: provision, Owed.CONVERT: convert, Owed.RECLAIM: reclaim,
}


def work(ctx: Context, claimed: Claimed) -> Trouble | None:
    """Do what is owed. When it does not work the account is given back, marked and paused; the trouble is answered."""
    found = tried(claimed.owed.value, DURABLE[claimed.owed], ctx, claimed)
    if not isinstance(found, Trouble):
        return None
    name = f"{claimed.owed.value}.later"
    tried(name, later, ctx, name, claimed, found, _longest(claimed.account, claimed.owed, ctx.clock()))
    return found


def _longest(account: Account, owed: Owed, now: datetime) -> timedelta:
    """Never past the instant at which the account is to begin, or to fail."""
    if owed is not Owed.PROVISION:
        return LONGEST_PAUSE
    turn = account.begins_at if account.begins_at is not None and now < account.begins_at else account.provision_by
    return min(LONGEST_PAUSE, max(turn - now, timedelta(milliseconds=100)))
