"""The clock that the first claim starts. Until then the site is armed for the latest end there can be; the claim moves
it forward, so that the end is never null and never later than promised."""

from datetime import datetime, timedelta

from orchestrator.flows.accounts import operate
from orchestrator.flows.accounts.extend import movable, move_end
from orchestrator.flows.context import Context
from orchestrator.flows.effects import commit
from orchestrator.flows.vouchers import entitlement
from orchestrator.lifecycle.account import Account, State
from orchestrator.store import accounts, journal, programmes
from orchestrator.store.accounts import Claimed
from orchestrator.store.engine import Tx
from orchestrator.store.programmes import Grant


def start(ctx: Context, account: Account) -> Account:
    """The account with the end that counts from now, when its voucher's clock starts at the first claim."""
    with ctx.store.read() as tx:
        grant = entitlement.clock_to_start(tx, account.id)
    if grant is None:
        return account
    if account.state is not State.ACTIVE:
        commit("claim.clock", ctx.store, lambda tx: programmes.start_clock(tx, grant.digest, ctx.clock()))
        return account
    claimed = operate.take(ctx, "extend.claim", account.id)
    with operate.giving_back(ctx, claimed):
        return _start(ctx, claimed)


def _start(ctx: Context, claimed: Claimed) -> Account:
    """Decided anew on the account as claimed; the clock starts in the transaction that saves the end."""
    account, now = claimed.account, ctx.clock()
    movable(account)
    with ctx.store.read() as tx:
        grant = entitlement.clock_to_start(tx, account.id)
    end = None if grant is None else _end(account, grant, now)
    if grant is None or end is None:
        commit("claim.clock", ctx.store, lambda tx: _keep(tx, claimed, grant, now))
        return account

    def told(tx: Tx, moved: Account) -> None:
        programmes.start_clock(tx, grant.digest, now)
        journal.write(tx, "account.extended", moved.id, "holder", "the first claim starts the clock",
                      before=account.ends_at, ends_at=end, generation=claimed.generation)

    return move_end(ctx, claimed, end, told)


def _end(account: Account, grant: Grant, now: datetime) -> datetime | None:
    """The voucher's hours from now on, and what an operator has added to them; None when its end comes before."""
    assert grant.claim_within is not None
    assert account.starts_at is not None
    assert account.ends_at is not None
    added = max(account.ends_at - account.starts_at - account.offer.duration, timedelta())
    end = now + account.offer.duration - grant.claim_within + added
    return end if end < account.ends_at else None


def _keep(tx: Tx, claimed: Claimed, grant: Grant | None, now: datetime) -> None:
    if grant is not None:
        programmes.start_clock(tx, grant.digest, now)
    accounts.release(tx, claimed)
