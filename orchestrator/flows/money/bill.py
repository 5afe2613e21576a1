"""Bills (账单): what an account's contracts cost in a month, shown at any time, and closed for good once it is over.

Ledger accounts: a closed bill takes what cash vouchers pay from `credit/<account>/CNY`; `billed/<account>/CNY` has what
was asked for in all, `due/<account>/CNY`, negative, what is to pay in money.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal

from orchestrator.flows.context import Context
from orchestrator.flows.effects import commit
from orchestrator.flows.named import account_named
from orchestrator.flows.usage.outages import make_good_on_bill
from orchestrator.lifecycle import bill as rules
from orchestrator.lifecycle import periods, times
from orchestrator.lifecycle import usage as metering
from orchestrator.lifecycle.account import Account
from orchestrator.lifecycle.bill import Bill, Credit, Part, Reading, Terms, Use
from orchestrator.lifecycle.contract import Contract
from orchestrator.lifecycle.errors import RuleError
from orchestrator.lifecycle.programme import YUAN
from orchestrator.store import accounts, bills, contracts, journal, ledger, outages, papers, usage
from orchestrator.store.engine import Tx
from orchestrator.store.ledger import Line

READ_WITHIN = timedelta(hours=2)
"""A younger hour that was not read yet is no gap."""


@dataclass(frozen=True, slots=True)
class InForce:
    """A contract with its span and, where it has a paper with a price, its terms."""

    contract: Contract
    since: datetime
    until: datetime
    terms: Terms | None

    def within(self, since: datetime, until: datetime) -> tuple[datetime, datetime] | None:
        """What of [since, until) it was in force for; None for nothing of it."""
        begin, end = max(since, self.since), min(until, self.until)
        return (begin, end) if begin < end else None


def preview(ctx: Context, account_id: str, month: str) -> Bill:
    """The month's bill: as it was closed, else as it stands now; of the present month up to now.

    RuleError: not_found, bad_month, month_ahead, no_contract, not_in_force, no_price.
    """
    with ctx.store.read() as tx:
        return _bill(ctx, tx, account_id, month)


def close(ctx: Context, account_id: str, month: str, *, actor: str, why: str = "") -> Bill:
    """Fix the month's bill and let cash vouchers pay what they can of it, once. Closed already: the same bill.

    RuleError: those of `preview`, month_open, earlier_open, fence_open, not_read.
    """
    make_good_on_bill(ctx, account_id)
    return commit("bill.close", ctx.store, lambda tx: _close(ctx, tx, account_id, month, actor, why))


def _close(ctx: Context, tx: Tx, account_id: str, month: str, actor: str, why: str) -> Bill:
    account = accounts.get(tx, account_id, lock=True)
    found = _bill(ctx, tx, account_id, month)
    if found.closed_at is not None:
        return found
    if not found.whole:
        raise RuleError("month_open", f"{month} is not over yet: its bill can be looked at, not closed")
    missing = [one.month for one in _earlier(ctx, tx, account_id, found.since) if one.closed_at is None]
    if missing:
        raise RuleError("earlier_open", f"account {account_id}: close {missing[0]} first; vouchers pay in order")
    assert account is not None
    _no_fence_to_lift(ctx, tx, account, found)
    _all_read(ctx, tx, found)
    now = ctx.clock()
    if not bills.add(tx, found, now):
        raise RuleError("being_closed", f"account {account_id}: {month} is being closed at this moment")
    lines = [Line(f"billed/{account_id}/{YUAN}", YUAN, found.price),
             Line(f"due/{account_id}/{YUAN}", YUAN, -found.total),
             Line(credit_of(account_id), YUAN, -found.taken, least=Decimal(0))]
    ledger.post(tx, f"bill/{account_id}/{month}", [line for line in lines if line.amount], now, f"bill of {month}")
    journal.write(tx, "bill.closed", account_id, actor, why, month=month, base=str(found.base),
                  price=str(found.price), vouchers=str(found.taken), payable=str(found.total))
    return replace(found, closed_at=now)


def _no_fence_to_lift(ctx: Context, tx: Tx, account: Account, found: Bill) -> None:
    """RuleError while an operator's fence hides hours of this month that count once it is lifted: no later bill would
    have them."""
    at = account.fenced_at
    if not account.liftable or at is None:
        return
    if any(one.terms and one.within(at, found.until) for one in _in_force(tx, replace(account, fenced_at=None))):
        where = times.zone(ctx.settings.timezone)
        raise RuleError("fence_open", f"account {account.id} is fenced by an operator since {times.show(at, where)}: "
                                      f"lifted, its hours in {found.month} count. First `tenure account unfence "
                                      f"{account.id}`, or `tenure account reclaim {account.id}`, or wait for its end")


def _all_read(ctx: Context, tx: Tx, found: Bill) -> None:
    """RuleError while a reading may still come that the bill has to have. What never comes is a gap, and says so."""
    ends = [part.until for part in found.parts if any(line.rule is rules.Rule.METERED for line in part.lines)]
    if not ends or max(ends) <= metering.hour_of(ctx.clock() - READ_WITHIN):
        return
    read = usage.read_until(tx, found.account, ctx.clock())
    if read is None or read < max(ends):
        where = times.zone(ctx.settings.timezone)
        raise RuleError("not_read", f"account {found.account}: its meters are read to {times.show(read, where)}; do: "
                                    f"tenure usage read {found.account}. After two hours what is missing is a gap")


def credit_of(account: str) -> str:
    """The ledger account of what cash vouchers are still to pay."""
    return f"credit/{account}/{YUAN}"


def _bill(ctx: Context, tx: Tx, account_id: str, month: str) -> Bill:
    since, _ = periods.month(month, times.zone(ctx.settings.timezone))
    account = account_named(tx, account_id)
    if since >= ctx.clock():
        raise RuleError("month_ahead", f"{month} has not begun: no second of it is over yet")
    known = bills.get(tx, account_id, month)
    if known is not None:
        return known
    _billable(ctx, tx, account, month)
    return next(one for one in _bills(ctx, tx, account, month) if one.month == month)


def _billable(ctx: Context, tx: Tx, account: Account, month: str) -> None:
    """RuleError when there is nothing that this month could be billed for, with why."""
    where = times.zone(ctx.settings.timezone)
    since, until = periods.month(month, where)
    every = _in_force(tx, account)
    if not every:
        raise RuleError("no_contract", f"account {account.id} has no contract in force: only contracts are billed")
    found = [one for one in every if one.within(since, min(until, ctx.clock()))]
    if not found:
        before = [one.until for one in every if one.until <= since]
        said = (f"the last one before it ended at {times.show(max(before), where)}" if before else
                f"the first began at {times.show(every[0].since, where)}")
        raise RuleError("not_in_force", f"account {account.id}: no contract was in force in {month}; {said}")
    if all(one.terms is None for one in found):
        raise RuleError("no_price", f"account {account.id}: contract {found[0].contract.id} was signed without a price "
                                    "list, so there is no price to bill by; contracts drafted with `tenure contract "
                                    "draft` have one")


def _earlier(ctx: Context, tx: Tx, account_id: str, before: datetime) -> Iterator[Bill]:
    for one in _bills(ctx, tx, account_named(tx, account_id), None):
        if one.since >= before:
            return
        yield one


def _in_force(tx: Tx, account: Account) -> list[InForce]:
    """The account's contracts that are or were in force, first to last."""
    found = []
    for contract in contracts.for_account(tx, account.id):
        paper = papers.get(tx, contract.id)
        begun = contract.begun_at
        if begun is None:
            continue
        terms = Terms.of(contract.id, paper.terms) if paper is not None and paper.terms else None
        found.append(InForce(contract, begun, contract.until(account), terms))
    return sorted(found, key=lambda one: one.since)


def _bills(ctx: Context, tx: Tx, account: Account, upto: str | None) -> Iterator[Bill]:
    """The bills of all months in which a contract with a price was in force, up to one: each knows of those before."""
    where, now = times.zone(ctx.settings.timezone), ctx.clock()
    every = _in_force(tx, account)
    priced = [one for one in every if one.terms is not None]
    if not priced:
        return
    credits, spent = _credits(tx, account.id)
    parts: list[Part] = []
    for month in periods.months(priced[0].since, min(now, max(one.until for one in priced)), where):
        made = bills.get(tx, account.id, month)
        if made is None:
            since, over = periods.month(month, where)
            until = min(over, now)
            these = tuple(part for one in priced if (part := _part(ctx, tx, account, one, since, until, parts)))
            due = sum((part.price for part in these), Decimal(0))
            vouchers = rules.pay(due, credits, spent)
            made = Bill(account.id, month, since, until, over <= now, these, vouchers, unpriced=tuple(
                one.contract.id for one in every if one.terms is None and one.within(since, until)))
            spent += made.taken
        parts += made.parts
        if made.parts:
            yield made
        if month == upto:
            return


def _credits(tx: Tx, account: str) -> tuple[list[Credit], Decimal]:
    """Cash vouchers redeemed for the account, the first first, and what was taken of them so far."""
    lines = ledger.lines_of(tx, credit_of(account))
    return ([Credit(entry, why.partition(":")[0], amount) for entry, amount, _, why in lines if amount > 0],
            -sum((amount for _, amount, _, _ in lines if amount < 0), Decimal(0)))


def _part(ctx: Context, tx: Tx, account: Account, one: InForce, since: datetime, until: datetime,
          earlier: list[Part]) -> Part | None:
    span = one.within(since, until)
    if span is None or one.terms is None:
        return None
    begin, end = span
    use = Use(begin, end, rules.whole_seconds(one.since, begin, end),
              outages.credited_seconds(tx, account.id, begin, end), _readings(ctx, tx, account, one.terms, begin, end),
              last=end == one.until)
    return rules.charge(one.terms, use, [part for part in earlier if part.contract == one.contract.id])


def _readings(ctx: Context, tx: Tx, account: Account, terms: Terms, since: datetime,
              until: datetime) -> dict[str, Reading]:
    """What the meters say of each resource that has a price. The clock hour in which the contract began is left out: it
    was in part the voucher's."""
    rows = usage.rows(tx, account.id, since, until)
    first = metering.hour_from(since)
    read = min(until, metering.hour_of(ctx.clock() - READ_WITHIN))
    meters = {rate.resource: metering.meter_of(rate.resource) for rate in terms.rates}
    missing = {(gap.meter, metering.hour_of(gap.since))
               for gap in metering.gaps(rows, dict.fromkeys(meters.values(), [(first, read)]))}
    return {resource: Reading(
        sum(row.amount for row in rows if row.meter == meter), tuple(row.hour for row in rows if row.meter == meter),
        tuple(sorted(hour for of, hour in missing if of == meter))) for resource, meter in meters.items()}
