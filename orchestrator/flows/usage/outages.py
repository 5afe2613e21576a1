"""Outages of sites, made good: a trial's end moves by what it lost, within its programme's limit; a contract's hours
are not counted. Each account once for each outage, and each instant once."""

import hashlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from orchestrator.flows.accounts import operate
from orchestrator.flows.accounts.extend import move_end, tell_moved
from orchestrator.flows.context import Context
from orchestrator.flows.effects import commit
from orchestrator.flows.trouble import Trouble, tried
from orchestrator.flows.vouchers import entitlement
from orchestrator.lifecycle import outage as rules
from orchestrator.lifecycle.account import Account, State
from orchestrator.lifecycle.contract import ContractState
from orchestrator.lifecycle.errors import RuleError
from orchestrator.lifecycle.outage import NotYet, Outage, Outcome
from orchestrator.store import accounts, bills, contracts, journal, outages, programmes, sites
from orchestrator.store.accounts import AccountRecord, Claimed
from orchestrator.store.engine import Tx
from orchestrator.store.errors import Busy
from orchestrator.store.outages import Credit
from providers.protocol import SiteError

log = logging.getLogger(__name__)

LONGEST = timedelta(days=90)
AHEAD = timedelta(seconds=2)
"""How far a site's clock may be ahead of ours."""
PAGE = 200
_SECOND = timedelta(seconds=1)
_REFUSED = {"no_capacity": Outcome.NO_PLACE, "already_fenced": Outcome.FENCED}


@dataclass(frozen=True, slots=True)
class Decided:
    """What an outage means for one account now; `outcome` None: it cannot be said yet, and `why`."""

    account: str
    outcome: Outcome | None
    seconds: int = 0
    why: str = ""


def told(ctx: Context, site: str, since: datetime, until: datetime, *, actor: str, why: str) -> Outage:
    """An outage as an operator knows it, checked and not yet kept. RuleError: bad_span."""
    now = ctx.clock()
    wrong = ("it ends before it begins" if until < since else "it has no length" if until == since else
             f"it is not over: now is {now.isoformat(timespec='seconds')}" if until > now else
             f"it is longer than {LONGEST.days} days" if until - since > LONGEST else None)
    if wrong:
        raise RuleError("bad_span", f"{since.isoformat()} to {until.isoformat()} is no outage: {wrong}")
    return Outage(_id(site, since, until), site, since, until, actor, why, now)


def add(ctx: Context, outage: Outage) -> None:
    """Keep it; told twice it is one. RuleError: not_found."""

    def write(tx: Tx) -> None:
        if sites.get(tx, outage.site) is None:
            raise RuleError("not_found", f"there is no site {outage.site!r}")
        _note(tx, outage)

    commit("outage.add", ctx.store, write)


def look(ctx: Context, name: str) -> list[Outage]:
    """Ask the site when it was out. Answers what was not known; years are a clock's fault, not an outage. Raises
    SiteError."""
    site, said_by, now = ctx.sites.get(name), f"site:{name}", ctx.clock()
    with ctx.store.read() as tx:
        since = outages.last_said_by(tx, name, said_by) or now - LONGEST
    told = [Outage(_id(name, one.since, one.until), name, one.since, one.until, said_by, "by its own heart-beat", now)
            for one in site.outages(since)
            if one.since < one.until <= now + AHEAD and one.until > since and one.until - one.since <= LONGEST]
    if not told:
        return []
    return commit("outage.keep", ctx.store, lambda tx: [one for one in told if _note(tx, one)])


def _id(site: str, since: datetime, until: datetime) -> str:
    """The same outage told again is the same row."""
    return "o" + hashlib.sha256(f"{site} {since.timestamp():.3f} {until.timestamp():.3f}".encode()).hexdigest()[:12]


def _note(tx: Tx, outage: Outage) -> bool:
    new = outages.add(tx, outage)
    if new:
        journal.write(tx, "outage.noted", outage.site, outage.said_by, outage.why, outage=outage.id,
                      since=outage.since, until=outage.until)
    return new


def plan(ctx: Context, outage: Outage) -> list[Decided]:
    """What `settle` would do now; changes nothing."""
    return [decided for record in _concerned(ctx, outage) if (decided := _look(ctx, record.account, outage))]


def settle(ctx: Context, site: str) -> list[Decided]:
    """Make good all outages of the site that are not yet, oldest first. What cannot be decided is asked again."""
    done: list[Decided] = []
    with ctx.store.read() as tx:
        waiting = outages.unsettled(tx, site)
    for outage in waiting:
        found = [decided for record in _concerned(ctx, outage) if (decided := _credit(ctx, record.account, outage))]
        done += found
        if all(one.outcome not in (None, Outcome.NO_PLACE) for one in found):
            commit("outage.settle", ctx.store, partial(outages.settle, id=outage.id, at=ctx.clock()))
    return done


def make_good_on_bill(ctx: Context, account_id: str) -> None:
    """What outages that are not settled mean for an account on a contract, at once: its bill is to be closed."""
    with ctx.store.read() as tx:
        account = accounts.get(tx, account_id)
        waiting = outages.unsettled(tx, account.site) if account is not None else []
    for outage in waiting:
        decided = _look(ctx, account, outage) if account is not None else None
        if decided is not None and decided.outcome in rules.ON_CONTRACT:
            commit("outage.credit", ctx.store, partial(_record, ctx, account_id=account_id, outage=outage))


def _concerned(ctx: Context, outage: Outage) -> Iterator[AccountRecord]:
    after = ""
    while True:
        with ctx.store.read() as tx:
            page = outages.concerned(tx, outage, after, PAGE)
        yield from page
        if len(page) < PAGE:
            return
        after = page[-1].id


def _look(ctx: Context, account: Account, outage: Outage) -> Decided | None:
    with ctx.store.read() as tx:
        return _decide(tx, account, outage)


def _decide(tx: Tx, account: Account, outage: Outage) -> Decided | None:
    """None: it has lost nothing by this outage that was not made good already."""
    lease = rules.lease_of(account)
    if lease is None:
        return None
    grants = programmes.granted_to(tx, account.id)
    begun = max([lease[0], *(grant.clock_started_at for grant in grants if grant.clock_started_at)])
    already = outages.made_good(tx, account.id)
    lost = rules.owed(outage.span, (begun, lease[1]), already)
    if not lost:
        return None
    if account.state is State.ACTIVE and entitlement.clock_to_start(tx, account.id) is not None:
        return Decided(account.id, None, why="its clock starts at the first claim")
    on_contract = _on_contract(tx, account)
    if on_contract:
        closed = [(one.since, one.until) for one in bills.list_(tx, account.id)]
        lost = rules.owed(outage.span, (begun, lease[1]), [*already, *closed])
    given = sum(one.seconds for one in outages.credits_of(tx, account.id) if one.outcome in rules.MOVED)
    found = [programmes.get(tx, grant.programme) for grant in grants]
    limit = max((one.outage_credit for one in found if one is not None), default=timedelta())
    try:
        outcome, by = rules.decide(account, on_contract=on_contract, lost=lost, limit=limit, given=given * _SECOND)
    except NotYet as why:
        return Decided(account.id, None, why=str(why))
    return Decided(account.id, outcome, -(-by // _SECOND))


def _on_contract(tx: Tx, account: Account) -> bool:
    if account.state is State.CONTRACTED:
        return True
    if account.contract is None or account.convert_asked:
        return False
    known = contracts.get(tx, account.id, account.contract)
    return known is not None and known.state in (ContractState.ACTIVE, ContractState.ENDED)


def _credit(ctx: Context, account: Account, outage: Outage) -> Decided | None:
    decided = _look(ctx, account, outage)
    if decided is None or decided.outcome is None:
        return decided
    if decided.outcome not in rules.MOVED:
        return commit("outage.credit", ctx.store, partial(_record, ctx, account_id=account.id, outage=outage))
    moved = tried("outage", _move, ctx, account.id, outage)
    return Decided(account.id, None, why=moved.error) if isinstance(moved, Trouble) else moved


def _record(ctx: Context, tx: Tx, account_id: str, outage: Outage) -> Decided | None:
    """Keep an outcome that moves no end, decided anew on the locked account: a bill may have been closed since."""
    account = accounts.get(tx, account_id, lock=True)
    decided = _decide(tx, account, outage) if account is not None else None
    if decided is None or decided.outcome is None:
        return decided
    if decided.outcome in rules.MOVED:
        return Decided(account_id, None, why="it has changed meanwhile")
    _write(ctx, tx, outage, decided)
    return decided


def _move(ctx: Context, account_id: str, outage: Outage) -> Decided:
    """Move the end, decided anew on the account as claimed. The credit is written with the new end, or not at all."""
    try:
        claimed = operate.take(ctx, "outage.claim", account_id)
    except Busy as busy:
        return Decided(account_id, None, why=str(busy))
    try:
        with operate.giving_back(ctx, claimed):
            return _move_claimed(ctx, claimed, outage)
    except RuleError as refused:
        outcome = _REFUSED.get(refused.code)
        if outcome is None:
            raise
    refusal = Decided(account_id, outcome)
    commit("outage.credit", ctx.store, lambda tx: _write(ctx, tx, outage, refusal))
    return refusal


def _move_claimed(ctx: Context, claimed: Claimed, outage: Outage) -> Decided:
    account = claimed.account
    decided = _look(ctx, account, outage)
    if decided is None or decided.outcome not in rules.MOVED or account.ends_at is None:
        commit("operator.release", ctx.store, lambda tx: accounts.release(tx, claimed))
        return Decided(account.id, None, why="it has changed meanwhile")

    def told(tx: Tx, moved: Account) -> None:
        _write(ctx, tx, outage, decided, before=account.ends_at, ends_at=moved.ends_at, generation=claimed.generation)
        tell_moved(ctx, tx, claimed, moved, "outage")

    move_end(ctx, claimed, account.ends_at + decided.seconds * _SECOND, told)
    return decided


def _write(ctx: Context, tx: Tx, outage: Outage, decided: Decided, **facts: Any) -> None:
    assert decided.outcome is not None
    if outages.credit(tx, Credit(decided.account, outage.id, decided.seconds, decided.outcome, ctx.clock())):
        journal.write(tx, "account.credited", decided.account, outage.said_by, outage.why, outage=outage.id,
                      outcome=decided.outcome.value, seconds=decided.seconds, **facts)


def report(ctx: Context, site: str | None = None) -> list[tuple[Outage, list[Credit]]]:
    """Outages, newest first, each with what it meant for its accounts."""
    with ctx.store.read() as tx:
        return [(one, outages.credits_of(tx, outage=one.id)) for one in outages.list_(tx, site)]


def swept(ctx: Context, site: str) -> None:
    """One look at a site and what follows from it. A site that does not answer is asked again in the next round."""
    try:
        look(ctx, site)
    except SiteError as error:
        log.info("site %s: outages: %s", site, error)
    settle(ctx, site)
