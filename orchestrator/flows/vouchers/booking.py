"""Booked accounts: redeemed now, with a place on a date, and nothing at any site until then.

Until its preparing begins a booking is rows in the database and can be moved, or cancelled at once. After that it is an
account like any other; cancelled, it is taken back like one that failed.
"""

from dataclasses import replace
from datetime import datetime, timedelta

from orchestrator.flows.accounts import operate, placement
from orchestrator.flows.context import Context
from orchestrator.flows.effects import commit
from orchestrator.flows.messages.callbacks import facts
from orchestrator.flows.messages.tell import tell
from orchestrator.flows.named import account_named
from orchestrator.flows.vouchers import entitlement
from orchestrator.flows.vouchers.entitlement import Under
from orchestrator.lifecycle import booking as rules
from orchestrator.lifecycle import calendar, times
from orchestrator.lifecycle.account import Account, State
from orchestrator.lifecycle.errors import RuleError
from orchestrator.lifecycle.offer import Offer
from orchestrator.store import accounts, capacity, journal
from orchestrator.store.accounts import Claimed
from orchestrator.store.engine import Tx
from orchestrator.store.errors import NotFound


class NoPlace(RuleError):
    """No site has a place for this offer from then on (None: now). `nearest` are beginnings that have one, at most so
    far `ahead`."""

    def __init__(self, offer: Offer, begins_at: datetime | None, ahead: timedelta, more: str = "",
                 nearest: tuple[datetime, ...] = ()) -> None:
        when = "now" if begins_at is None else f"from {begins_at.isoformat()} on"
        super().__init__("no_capacity", f"no site has a free place for {offer.name!r} {when}; the voucher is still "
                                        f"good{more}")
        self.offer, self.begins_at, self.ahead, self.nearest = offer, begins_at, ahead, nearest


def beginning(under: Under | None, wish: datetime | None, now: datetime) -> datetime | None:
    """When an account that is redeemed now begins; None: at once.

    RuleError: bad_begin; of a programme also begin_missing, begin_fixed.
    """
    if under is None:
        return None if wish is None else rules.checked(wish, now)
    if under.billed is not None and wish is not None:
        raise RuleError("bad_begin", f"programme {under.programme.name}: a cash voucher makes no account: nothing "
                                     "begins")
    return None if under.billed is not None else entitlement.beginning(under.programme, wish, now)


def ahead(under: Under | None) -> timedelta:
    """How far ahead an account may begin that is redeemed now."""
    return rules.MOST_AHEAD if under is None else under.programme.ahead


def with_dates(ctx: Context, none: NoPlace) -> NoPlace:
    """The refusal with the beginnings nearest to the wish that are still free, at any site, and may be chosen."""
    if not none.ahead:
        return none
    offer, now = none.offer, ctx.clock()
    wish, latest = none.begins_at or now, now + none.ahead
    length = placement.held_until(offer, wish + offer.provision_within + offer.duration) - wish
    before, after = set[datetime](), set[datetime]()
    with ctx.store.read() as tx:
        for site in placement.candidates(tx, offer, ahead=True):
            places = capacity.places(tx, site, offer.name)
            held = capacity.held(tx, site, offer.name, now, latest + length, now)
            earlier, later = calendar.nearest(places, held, wish, length, now, latest)
            before |= {earlier} if earlier else set()
            after |= {later} if later else set()
    where = times.zone(ctx.settings.timezone)
    free = tuple(at.astimezone(where) for at in (max(before, default=None), min(after, default=None)) if at is not None)
    told = ", ".join(at.isoformat() for at in free)
    return NoPlace(offer, none.begins_at, none.ahead, f"; the nearest beginnings with a place: {told}" if free else
                   f"; there is none within {times.show_span(none.ahead)}", free)


def cancel(ctx: Context, account_id: str, *, actor: str, why: str = "") -> Account:
    """Before it begins: voucher, pool, caps and place are as if nothing had been redeemed. Cancelled already: the same
    answer. Where preparing has begun, they are given back once the site has shown that nothing is left.

    RuleError: not_found, not_booked, too_late. Busy when a worker has it at this moment.
    """
    account = commit("booking.cancel", ctx.store, lambda tx: _cancel(ctx, tx, account_id, actor, why))
    ctx.wake.set()
    return account


def _cancel(ctx: Context, tx: Tx, account_id: str, actor: str, why: str) -> Account:
    now = ctx.clock()
    known = _booked(tx, account_id)
    if known.state in (State.FAILED, State.RECLAIMING, State.RECLAIMED) and known.starts_at is None:
        return known
    claimed = _claimed(ctx, tx, known, now)
    failed = claimed.account.move(State.FAILED, at=now)
    untouched = claimed.account.state is State.REQUESTED
    if untouched:
        # Nothing was ever asked of a site, so there is nothing to remove, to list or to certify.
        account = failed.move(State.RECLAIMING, at=now).move(State.RECLAIMED, at=now)
        capacity.release(tx, account.id)
        entitlement.restore(tx, account.id, now)
    else:
        account = failed
    accounts.save(tx, account, claimed, release=True)
    journal.write(tx, "booking.cancelled", account.id, actor, why, begins_at=account.begins_at,
                  voucher_restored=untouched)
    tell(ctx, tx, claimed.sender, "booking.cancelled", account.id, {**facts(account), "voucher_restored": untouched})
    return account


def move(ctx: Context, account_id: str, begins_at: datetime, *, actor: str, why: str = "") -> Account:
    """Another beginning, at its site or at another one; the same again is the same answer, unless its site is drained:
    then it is kept at another one.

    RuleError: not_found, not_booked, too_late (preparing has begun), bad_begin, begin_fixed, no_capacity (it stays what
    it was). Busy when a worker has it at this moment.
    """
    try:
        account = commit("booking.move", ctx.store, lambda tx: _move(ctx, tx, account_id, begins_at, actor, why))
    except NoPlace as none:
        raise with_dates(ctx, none) from none
    ctx.wake.set()
    return account


def _move(ctx: Context, tx: Tx, account_id: str, begins_at: datetime, actor: str, why: str) -> Account:
    now = ctx.clock()
    known = _booked(tx, account_id)
    among = sorted(placement.candidates(tx, known.offer, ahead=True), key=lambda name: name != known.site)
    if known.begins_at == begins_at and known.site in among and known.state is State.REQUESTED:
        return known
    if known.state is not State.REQUESTED:
        raise RuleError("too_late", f"account {account_id} is {known.state}: only a booking that is not being prepared "
                                    "can be moved")
    most = entitlement.movable(tx, account_id, begins_at, now)
    claimed = _claimed(ctx, tx, known, now)
    taken = placement.take(tx, capacity.move, account_id, known.offer, among, begins_at, now)
    if taken is None:
        raise NoPlace(known.offer, begins_at, most)
    account = replace(claimed.account, site=taken[0], begins_at=begins_at, prepare_at=taken[1],
                      provision_by=begins_at + known.offer.provision_within)
    accounts.save(tx, account, claimed, release=True)
    journal.write(tx, "booking.moved", account_id, actor, why, before=known.begins_at, begins_at=begins_at,
                  site=account.site)
    tell(ctx, tx, claimed.sender, "booking.moved", account_id, {**facts(account)})
    return account


def _booked(tx: Tx, account_id: str) -> Account:
    account = account_named(tx, account_id, lock=True)
    if account.begins_at is None:
        raise RuleError("not_booked", f"account {account_id} was not booked ahead")
    return account


def _claimed(ctx: Context, tx: Tx, account: Account, now: datetime) -> Claimed:
    """With a generation of its own: a worker that took it up before can save nothing any more."""
    if not account.booked(now):
        raise RuleError("too_late", f"account {account.id} is {account.state}: its time has begun")
    try:
        return accounts.claim_one(tx, account.id, now, ctx.worker, operate.LEASE)
    except NotFound as unknown:
        raise RuleError("not_found", str(unknown)) from unknown
