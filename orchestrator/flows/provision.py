"""Provisioning: its end first, then what it consists of, and logins last. Past its deadline the account has FAILED."""

from dataclasses import replace
from datetime import timedelta

from orchestrator.flows.callbacks import facts, text
from orchestrator.flows.context import Context, spec_of
from orchestrator.flows.effects import commit, effect
from orchestrator.lifecycle.account import State
from orchestrator.store import accounts, journal, outbox
from orchestrator.store.accounts import Claimed
from orchestrator.store.engine import Tx
from providers.protocol import AlreadyFenced, Opened, Refused, Site, TryLater

AVOIDED = timedelta(minutes=1)
MOST_OFFSET = timedelta(seconds=2)
"""A site whose clock is further off gets no account."""


def provision(ctx: Context, claimed: Claimed) -> None:
    """Make the account usable, or let it fail. Raises what went wrong when it may be tried again."""
    account = claimed.account
    if ctx.clock() >= account.provision_by:
        _fail(ctx, claimed, f"not usable by {account.provision_by.isoformat()}")
        return
    resumed = account.state is State.PROVISIONING
    begun = claimed if resumed else _begin(ctx, claimed)
    opened = _make(ctx, begun, resumed)
    if isinstance(opened, str):
        _fail(ctx, begun, opened)
    else:
        _active(ctx, begun, opened)


def _begin(ctx: Context, claimed: Claimed) -> Claimed:
    account = claimed.account.move(State.PROVISIONING, at=ctx.clock())
    return commit("provision.begin", ctx.store, lambda tx: accounts.save(tx, account, claimed, release=False))


def _make(ctx: Context, claimed: Claimed, resumed: bool) -> Opened | str:
    """What was opened, or why this account can never be."""
    account, spec = claimed.account, spec_of(claimed.account)
    site = ctx.sites.get(account.site)
    _same_time(ctx, site)
    armed = effect("provision.arm", site.arm, spec, account.provisional_end(), claimed.generation)
    if isinstance(armed, AlreadyFenced):
        return f"fenced at the site at {armed.at.isoformat()} before it was usable"
    effect("provision.up", ctx.stacks.up, account.id, spec, site)
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


def _same_time(ctx: Context, site: Site) -> None:
    offset = site.now() - ctx.clock()
    if abs(offset) > MOST_OFFSET:
        ctx.sites.avoid(site.name, ctx.clock() + AVOIDED)
        raise TryLater(f"site {site.name}: its clock is {offset.total_seconds():+.1f} s off ours; set it right",
                       after=timedelta(seconds=10))


def _fail(ctx: Context, claimed: Claimed, why: str) -> None:
    now = ctx.clock()
    account = claimed.account.move(State.FAILED, at=now)
    reason = f"{why}; last: {claimed.stuck.error}" if claimed.stuck else why

    def save(tx: Tx) -> None:
        accounts.save(tx, account, claimed, release=True)
        journal.write(tx, "account.failed", account.id, f"worker:{ctx.worker}", reason)
        outbox.put(tx, claimed.sender, "account.failed", account.id, {**facts(account), "reason": reason})

    commit("provision.failed", ctx.store, save)
    ctx.wake.set()


def _active(ctx: Context, claimed: Claimed, opened: Opened) -> None:
    account = replace(claimed.account.move(State.ACTIVE, at=ctx.clock()), starts_at=opened.starts_at,
                      ends_at=opened.ends_at)

    def save(tx: Tx) -> None:
        accounts.save(tx, account, claimed, release=True)
        journal.write(tx, "account.usable", account.id, f"worker:{ctx.worker}", generation=claimed.generation,
                      starts_at=text(opened.starts_at), ends_at=text(opened.ends_at))
        outbox.put(tx, claimed.sender, "account.usable", account.id, facts(account))

    commit("provision.active", ctx.store, save)
