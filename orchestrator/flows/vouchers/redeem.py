"""A redemption (核销): one transaction from a sender's event to a REQUESTED account with its place."""

import secrets
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from orchestrator.flows.accounts import placement
from orchestrator.flows.context import Context
from orchestrator.flows.effects import commit
from orchestrator.flows.messages.callbacks import facts, text
from orchestrator.flows.messages.tell import tell
from orchestrator.flows.vouchers import booking, claim, entitlement
from orchestrator.flows.vouchers.entitlement import Under
from orchestrator.flows.vouchers.request import Redeem
from orchestrator.lifecycle.account import Account, State
from orchestrator.lifecycle.errors import RuleError
from orchestrator.lifecycle.offer import MAX_DURATION, Offer
from orchestrator.lifecycle.voucher import Voucher, VoucherState
from orchestrator.store import accounts, capacity, claims, holders, journal, redemptions, vouchers
from orchestrator.store.claims import Claim
from orchestrator.store.engine import Tx
from orchestrator.store.redemptions import Redemption
from orchestrator.store.senders import Sender
from orchestrator.store.sites import ALWAYS

ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"


@dataclass(frozen=True, slots=True)
class Accepted:
    """The answer to the event and to every repetition of it."""

    account: str
    claim_url: str | None
    """None of a cash voucher: it makes no account, and the link of the contract's is its own holder's."""


def new_id() -> str:
    """A new account id: it names everything at the site."""
    return "a" + "".join(secrets.choice(ALPHABET) for _ in range(9))


def redeem(ctx: Context, sender: Sender, request: Redeem) -> Accepted:
    """Remember the event, lock the voucher, hold a place, write the account; or RuleError and nothing of it.

    Codes: event_reused (same id, another body), voucher_*, offer_unknown, offer_missing, offer_mismatch, bad_hours,
    bad_key, bad_begin, holder_changed, no_capacity (which names the nearest free dates); for a voucher of a programme
    also those of `entitlement` and `booking.beginning`.
    """
    key = claim.checked_key(request.ssh_public_key) if request.ssh_public_key else None
    try:
        made = commit("redeem.commit", ctx.store, lambda tx: _redeem(ctx, tx, sender, request, key))
    except booking.NoPlace as none:
        raise booking.with_dates(ctx, none) from none
    ctx.wake.set()
    return answered(ctx, made)


def answered(ctx: Context, made: Redemption) -> Accepted:
    """What is said of an accepted event, the first time and again."""
    return Accepted(made.account, None if made.voucher is None else claim.claim_url(ctx, made.account))


def _redeem(ctx: Context, tx: Tx, sender: Sender, request: Redeem, key: claim.HolderKey | None) -> Redemption:
    earlier = redemptions.find(tx, sender.id, request.event)
    if earlier is not None:
        return _again(earlier, request)
    now, id = ctx.clock(), new_id()
    digest = vouchers.digest(ctx.keyring, sender.id, request.voucher)
    under = entitlement.find(tx, sender, request, digest)
    billed = under.billed if under is not None else None
    # A cash voucher makes no account: it must never be taken for the one that the account was made for.
    event = Redemption(request.event, sender.id, request.body_hash, None if billed else digest, billed or id, now)
    if not redemptions.remember(tx, event):
        first = redemptions.find(tx, sender.id, request.event)
        assert first is not None
        return _again(first, request)
    offer = _lock_voucher(tx, sender, request, digest, now, under)
    holder = holders.put(tx, sender.id, request.holder)
    if under is not None:
        entitlement.take(ctx, tx, under, sender, request.holder, holder, billed or id, now, f"redeem/{id}")
    begins_at = booking.beginning(under, request.begins_at, now)
    if billed is not None:
        return event
    assert offer is not None
    account = _place(ctx, tx, request, offer, id, begins_at, now, booking.ahead(under))
    accounts.add(tx, account, sender=sender.id, holder=holder)
    if key is not None:
        claims.put(tx, Claim(id, key.fingerprint, key.line, {}, now))
    journal.write(tx, "account.requested", id, f"sender:{sender.id}", site=account.site, offer=offer.name,
                  event=request.event, begins_at=begins_at)
    tell(ctx, tx, sender.id, "account.redeemed", id, {**facts(account), "usable_by": text(account.provision_by)})
    return event


def _again(earlier: Redemption, request: Redeem) -> Redemption:
    if earlier.body_hash != request.body_hash:
        raise RuleError("event_reused", f"event {request.event!r} came before with another body")
    return earlier


def _lock_voucher(tx: Tx, sender: Sender, request: Redeem, digest: str, now: datetime,
                  under: Under | None) -> Offer | None:
    """What an account of this voucher gets; None for one that makes no account."""
    named = request.offer or (under.programme.offer if under is not None else None)
    if sender.trusts == "codes":
        voucher = vouchers.redeem(tx, digest, now)
        if request.offer is not None and request.offer != voucher.offer:
            raise RuleError("offer_mismatch", f"this voucher is for {voucher.offer!r}, not for {request.offer!r}")
        # Also where its programme is for another one by now: that is what was given.
        named = voucher.offer
    elif named is None:
        raise RuleError("offer_missing", "the payload names no offer")
    else:
        told = Voucher(digest, named, VoucherState.ISSUED, request.valid_from or now, request.valid_until or ALWAYS)
        vouchers.take(tx, told, sender.id, now)
    if under is not None:
        if sender.trusts != "codes" and named != under.programme.offer:
            raise RuleError("offer_mismatch", f"programme {under.programme.name} is for {under.programme.offer!r}, not "
                                              f"for {named!r}")
        return None if under.billed else entitlement.offer_of(tx, under, named)
    offer = placement.offer_named(tx, named)
    return offer if request.hours is None or sender.trusts == "codes" else replace(
        offer, duration=_duration(request.hours))


def _duration(hours: int) -> timedelta:
    most = MAX_DURATION // timedelta(hours=1)
    if isinstance(hours, bool) or not isinstance(hours, int) or not 1 <= hours <= most:
        raise RuleError("bad_hours", f"{hours!r} is not a whole number of hours between 1 and {most}")
    return timedelta(hours=hours)


def _place(ctx: Context, tx: Tx, request: Redeem, offer: Offer, id: str, begins_at: datetime | None,
           now: datetime, ahead: timedelta) -> Account:
    """The account at the first site in order that has a place free for the whole of it."""
    # What does not answer today says nothing of a day ahead.
    avoid = ctx.sites.avoided(now) if begins_at is None else frozenset[str]()
    among = placement.candidates(tx, offer, avoid, ahead=begins_at is not None)
    taken = placement.take(tx, capacity.hold, id, offer, among, begins_at, now)
    if taken is None:
        raise booking.NoPlace(offer, begins_at, ahead)
    site, start = taken
    return Account(id=id, redemption=request.event, site=site, offer=offer, state=State.REQUESTED, since=now,
                   generation=1, provision_by=(begins_at or now) + offer.provision_within, begins_at=begins_at,
                   prepare_at=None if begins_at is None else start)
