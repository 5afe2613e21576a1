"""Provisioning: its end first, then what it consists of, and logins last. Past its deadline the account has FAILED.

A site that fails is left for the next one that has a free place, but only while nothing of the account can be there:
before it was asked for anything, or once it has said no to the end and shown that nothing is left.
"""

import logging
from dataclasses import replace
from datetime import timedelta

from orchestrator.flows.accounts import placement
from orchestrator.flows.context import Context, spec_of
from orchestrator.flows.effects import commit, effect
from orchestrator.flows.messages.callbacks import facts, text
from orchestrator.flows.messages.tell import tell
from orchestrator.lifecycle.account import Account, State
from orchestrator.store import accounts, capacity, journal, sites
from orchestrator.store.accounts import Claimed
from orchestrator.store.engine import Tx
from providers.protocol import AlreadyFenced, NeedsHuman, Opened, Refused, Site, SiteError, TryLater, only
from stacks.errors import StackError

log = logging.getLogger(__name__)

AVOIDED = timedelta(minutes=1)
MOST_OFFSET = timedelta(seconds=2)
"""A site whose clock is further off gets no account."""


class NotItsTurn(NeedsHuman):
    """A booking's time has come and its site has no place for it (any more)."""


def provision(ctx: Context, claimed: Claimed) -> None:
    """Make the account usable, or let it fail. Raises what went wrong when it may be tried again."""
    account = claimed.account
    if ctx.clock() >= account.provision_by:
        _fail(ctx, claimed, f"not usable by {account.provision_by.isoformat()}")
        return
    resumed = account.state is State.PROVISIONING
    try:
        if not resumed:
            _its_turn(ctx, account)
        site = _reached(ctx, account.site)
    except SiteError as no:
        if resumed or not _elsewhere(ctx, claimed, failed=not isinstance(no, NotItsTurn)):
            raise
        return
    if account.prepared_at is not None:
        _open_when_it_begins(ctx, claimed, site, resumed=False)
        return
    begun = claimed if resumed else _begin(ctx, claimed)
    try:
        armed = effect("provision.arm", site.arm, spec_of(account), account.provisional_end(), begun.generation)
    except (NeedsHuman, Refused) as no:
        if not (_leaves(ctx, begun) and _withdrawn(ctx, begun, site) and _elsewhere(ctx, begun)):
            raise no
        return
    if isinstance(armed, AlreadyFenced):
        _fail(ctx, begun, f"fenced at the site at {armed.at.isoformat()} before it was usable")
        return
    effect("provision.up", ctx.stacks.up, account.id, spec_of(account), site)
    _open_when_it_begins(ctx, begun, site, resumed)


def _its_turn(ctx: Context, account: Account) -> None:
    """A booking begins only where there is really room for it by now. NotItsTurn."""
    if account.begins_at is None:
        return
    with ctx.store.read() as tx:
        row, free = sites.get(tx, account.site), capacity.its_turn(tx, account.id, ctx.clock())
    if row is None or row.drained:
        raise NotItsTurn(f"site {account.site}: takes no new accounts, and one was booked there",
                         remedy=f"tenure site undrain {account.site}, or give another site places")
    if not free:
        raise NotItsTurn(f"site {account.site}: the place booked for account {account.id} is not free yet",
                         remedy="see what should be gone by now (tenure account list --stuck), or give a site more "
                                "places")


def _begin(ctx: Context, claimed: Claimed) -> Claimed:
    account = claimed.account.move(State.PROVISIONING, at=ctx.clock())

    def save(tx: Tx) -> Claimed:
        journal.write(tx, "account.provisioning", account.id, f"worker:{ctx.worker}", site=account.site,
                      generation=claimed.generation)
        return accounts.save(tx, account, claimed, release=False)

    return commit("provision.begin", ctx.store, save)


def _open_when_it_begins(ctx: Context, claimed: Claimed, site: Site, resumed: bool) -> None:
    """Logins last: at the beginning that was booked, and never before, by the slower of both clocks."""
    account, now = claimed.account, ctx.clock()
    if account.begins_at is not None and min(now, site.now()) < account.begins_at:
        _prepared(ctx, claimed, site)
        return
    opened = _opened(ctx, claimed, site, resumed)
    if isinstance(opened, str):
        _fail(ctx, claimed, opened)
    else:
        _active(ctx, claimed, opened)


def _prepared(ctx: Context, claimed: Claimed, site: Site) -> None:
    """All is there; what is left is one command, at its time."""
    now = ctx.clock()
    account = replace(claimed.account, prepared_at=claimed.account.prepared_at or now)
    assert account.begins_at is not None
    early = account.begins_at - min(now, site.now())

    def save(tx: Tx) -> None:
        if claimed.account.prepared_at is not None:
            accounts.release(tx, claimed, retry_at=now + early)
            return
        accounts.save(tx, account, claimed, release=True)
        journal.write(tx, "account.prepared", account.id, f"worker:{ctx.worker}", begins_at=account.begins_at)

    commit("provision.prepared", ctx.store, save)


def _opened(ctx: Context, claimed: Claimed, site: Site, resumed: bool) -> Opened | str:
    """What was opened, or why this account can never be."""
    account, spec = claimed.account, spec_of(claimed.account)
    if ctx.clock() >= account.provision_by:
        return f"not usable by {account.provision_by.isoformat()}"
    try:
        opened = effect("provision.open", site.open, spec, account.offer.duration, claimed.generation)
    except Refused as refused:
        return f"the site did not open it: {refused}"
    if resumed:
        # An attempt that died after opening left the true end behind; arming the provisional one again moved it.
        effect("provision.settle", site.arm, spec, opened.ends_at, claimed.generation)
    return opened


def _reached(ctx: Context, name: str) -> Site:
    """The site, when it answers and its clock is right. Only looks."""
    site = ctx.sites.get(name)
    offset = site.now() - ctx.clock()
    if abs(offset) > MOST_OFFSET:
        ctx.sites.avoid(name, ctx.clock() + AVOIDED)
        raise TryLater(f"site {site.name}: its clock is {offset.total_seconds():+.1f} s off ours; set it right",
                       after=timedelta(seconds=10))
    return site


def _others(ctx: Context, tx: Tx, account: Account) -> list[str]:
    """Other sites that can serve it and have not just failed, best first."""
    avoided = ctx.sites.avoided(ctx.clock()) | {account.site}
    return [name for name in placement.candidates(tx, account.offer) if name not in avoided]


def _leaves(ctx: Context, claimed: Claimed) -> bool:
    """Whether there is anywhere else to go: otherwise nothing is withdrawn here."""
    with ctx.store.read() as tx:
        return bool(_others(ctx, tx, claimed.account))


def _withdrawn(ctx: Context, claimed: Claimed, site: Site) -> bool:
    """Whether the site has shown that nothing of the account is there; it refuses earlier decisions from now on."""
    account, spec = claimed.account.id, spec_of(claimed.account)
    try:
        effect("provision.destroy", ctx.stacks.destroy, account, spec, site)
        only(effect("provision.clean", site.clean, [(account, claimed.generation)]))
        if site.leftovers(account):
            return False
        effect("provision.forget", ctx.stacks.remove, account)
    except (SiteError, StackError) as error:
        log.info("account %s: stays at %s, which cannot show that nothing is there: %s", account, site.name, error)
        return False
    return True


def _elsewhere(ctx: Context, claimed: Claimed, failed: bool = True) -> bool:
    """Give the account to the next site that has a free place for it. False: there is none."""
    account, now = claimed.account, ctx.clock()
    if failed:
        ctx.sites.avoid(account.site, now + AVOIDED)

    def move(tx: Tx) -> bool:
        until = placement.held_until(account.offer, account.provision_by + account.offer.duration)
        capacity.lock(tx, account.offer.name)
        for name in _others(ctx, tx, account):
            if capacity.move(tx, account.id, name, account.offer.name, now, until, now):
                accounts.save(tx, replace(account, site=name), claimed, release=True)
                journal.write(tx, "account.moved", account.id, f"worker:{ctx.worker}", f"{account.site} failed",
                              site=name)
                return True
        return False

    moved = commit("provision.elsewhere", ctx.store, move)
    if moved:
        ctx.wake.set()
    return moved


def _fail(ctx: Context, claimed: Claimed, why: str) -> None:
    now = ctx.clock()
    account = claimed.account.move(State.FAILED, at=now)
    reason = f"{why}; last: {claimed.stuck.error}" if claimed.stuck else why

    def save(tx: Tx) -> None:
        accounts.save(tx, account, claimed, release=True)
        journal.write(tx, "account.failed", account.id, f"worker:{ctx.worker}", reason)
        tell(ctx, tx, claimed.sender, "account.failed", account.id, {**facts(account), "reason": reason})

    commit("provision.failed", ctx.store, save)
    ctx.wake.set()


def _active(ctx: Context, claimed: Claimed, opened: Opened) -> None:
    account = replace(claimed.account.move(State.ACTIVE, at=ctx.clock()), starts_at=opened.starts_at,
                      ends_at=opened.ends_at)

    def save(tx: Tx) -> None:
        accounts.save(tx, account, claimed, release=True)
        journal.write(tx, "account.usable", account.id, f"worker:{ctx.worker}", generation=claimed.generation,
                      starts_at=text(opened.starts_at), ends_at=text(opened.ends_at))
        tell(ctx, tx, claimed.sender, "account.usable", account.id, facts(account))

    commit("provision.active", ctx.store, save)
