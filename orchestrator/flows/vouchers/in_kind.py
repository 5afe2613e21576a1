"""Vouchers in kind by the meter: what was used is taken from the credit, and an end that came too early moves later.

Ledger accounts: `credit/<account>/<chip>-hours` has what is left, `used/<account>/<chip>-hours` what the meter counted.
"""

import logging
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from orchestrator.flows.accounts import operate
from orchestrator.flows.accounts.extend import move_end
from orchestrator.flows.context import Context
from orchestrator.flows.effects import commit
from orchestrator.flows.trouble import Trouble, tried
from orchestrator.flows.vouchers import entitlement
from orchestrator.lifecycle import in_kind as rules
from orchestrator.lifecycle import usage as metering
from orchestrator.lifecycle.account import Account, State
from orchestrator.lifecycle.errors import RuleError
from orchestrator.lifecycle.in_kind import Hours
from orchestrator.lifecycle.programme import Benefit, Programme
from orchestrator.lifecycle.usage import UsageRow
from orchestrator.store import accounts, contracts, journal, ledger, programmes, usage
from orchestrator.store.accounts import Claimed
from orchestrator.store.engine import Tx
from orchestrator.store.ledger import Line
from orchestrator.store.programmes import Grant

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class InKind:
    """An account's voucher in kind and its programme."""

    programme: Programme
    grant: Grant

    @property
    def meter(self) -> str:
        return metering.meter_of(self.programme.resource)


def of(tx: Tx, account: str) -> InKind | None:
    """The voucher in kind that the account was made for, or None."""
    for grant in programmes.granted_to(tx, account):
        programme = programmes.get(tx, grant.programme)
        if programme is not None and programme.benefit is Benefit.IN_KIND:
            return InKind(programme, grant)
    return None


def count(ctx: Context, tx: Tx, account: Account) -> None:
    """Take from the credit what the meter has counted and was not taken yet. It belongs in the transaction that keeps a
    reading: the same reading again takes nothing. Once a contract is in force, what is used is its bill's."""
    found = of(tx, account.id)
    if found is None or account.starts_at is None:
        return
    unit, now = found.programme.unit, ctx.clock()
    credit, used = f"credit/{account.id}/{unit}", f"used/{account.id}/{unit}"
    rows = _rows(tx, account, found, min((one.begun_at for one in contracts.for_account(tx, account.id)
                                          if one.begun_at is not None), default=now))
    total = rules.hours_of(sum(row.amount for row in rows))
    more = min(total - ledger.balance(tx, used), ledger.balance(tx, credit))
    if more > 0:
        ledger.post(tx, f"used/{account.id}/{unit}/{ledger.balance(tx, used) + more}",
                    [Line(credit, unit, -more, least=Decimal(0)), Line(used, unit, more)], now,
                    f"{found.programme.name}: metered up to {max(row.until for row in rows).isoformat()}")


def _rows(tx: Tx, account: Account, found: InKind, until: datetime) -> list[UsageRow]:
    assert account.starts_at is not None
    return [row for row in usage.rows(tx, account.id, metering.hour_of(account.starts_at), until)
            if row.meter == found.meter]


def stretch(ctx: Context, ids: Collection[str]) -> None:
    """Move the ends of those accounts whose hours last longer than was armed. One that cannot be moved now is looked
    at again with its next reading; its present end overdraws nothing."""
    for id in ids:
        found = tried("in kind", _stretch, ctx, id)
        if isinstance(found, Trouble):
            log.info("account %s: its end stays: %s", id, found.error)


def _stretch(ctx: Context, id: str) -> None:
    with ctx.store.read() as tx:
        account = accounts.get(tx, id)
        if account is None or _later(ctx, tx, account) is None:
            return
    claimed = operate.take(ctx, "stretch.claim", id)
    try:
        with operate.giving_back(ctx, claimed):
            _move(ctx, claimed)
    except RuleError as refused:
        log.info("account %s: its end stays: %s", id, refused)


def _move(ctx: Context, claimed: Claimed) -> None:
    """Decided anew on the account as claimed."""
    account = claimed.account
    with ctx.store.read() as tx:
        end = _later(ctx, tx, account)
    if end is None:
        commit("operator.release", ctx.store, lambda tx: accounts.release(tx, claimed))
        return
    move_end(ctx, claimed, end, lambda tx, moved: journal.write(
        tx, "account.stretched", moved.id, f"worker:{ctx.worker}", before=account.ends_at, ends_at=end,
        generation=claimed.generation))


def _later(ctx: Context, tx: Tx, account: Account) -> datetime | None:
    """The end that its hours are certain to last until, when that is worth moving to; else None."""
    if account.state is not State.ACTIVE or account.ends_at is None or account.starts_at is None:
        return None
    if account.convert_asked or account.reclaim_asked or entitlement.clock_to_start(tx, account.id) is not None:
        return None
    found = of(tx, account.id)
    if found is None or found.grant.use_within is None:
        return None
    hours = Hours(found.grant.worth, account.offer.accelerators[found.programme.resource], account.starts_at,
                  account.starts_at + found.grant.use_within)
    end, now = hours.lasts_until(_rows(tx, account, found, ctx.clock())), ctx.clock()
    return end if account.ends_at > now and rules.worth_moving(now, account.ends_at, end) else None
