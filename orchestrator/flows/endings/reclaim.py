"""Reclaim (回收): everything is removed and shown to be gone. Only an empty answer from every listing ends it."""

import logging
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

from orchestrator.flows.context import Context, spec_of
from orchestrator.flows.effects import commit, effect
from orchestrator.flows.endings import certificate
from orchestrator.flows.messages.callbacks import facts, text
from orchestrator.flows.messages.tell import tell
from orchestrator.flows.trouble import Trouble, tried
from orchestrator.flows.usage import metering
from orchestrator.flows.vouchers import entitlement
from orchestrator.lifecycle.account import Account, State
from orchestrator.store import accounts, capacity, certificates, contracts, journal
from orchestrator.store.accounts import Claimed
from orchestrator.store.engine import Tx
from providers.protocol import Leftover, NeedsHuman, Site, only

log = logging.getLogger(__name__)

LONGEST_LOOK = timedelta(minutes=10)
"""How long to wait at most before the site's clock is asked again whether grace is over."""


def reclaim(ctx: Context, claimed: Claimed) -> None:
    """Take everything away and sign that it is gone. Raises what went wrong; it is tried again for ever."""
    site = ctx.sites.get(claimed.account.site)
    begun = claimed
    if claimed.account.state is not State.RECLAIMING:
        wait = _grace_left(claimed.account, ctx.clock(), site)
        if wait is not None:
            _wait(ctx, claimed, wait)
            return
        only(effect("reclaim.fence", site.fence, [(claimed.account.id, claimed.generation)], "end"))
        taken = commit("reclaim.begin", ctx.store, lambda tx: _begin(ctx, tx, claimed))
        if taken is None:
            return
        begun = taken
    _remove(ctx, begun, site)


def _grace_left(account: Account, now: datetime, site: Site) -> timedelta | None:
    """How long grace goes on by the slower of both clocks: a jump of one of them never deletes."""
    if account.reclaim_asked or account.grace_until is None:
        return None
    slower = min(now, site.now())
    return account.grace_until - slower if slower < account.grace_until else None


def _wait(ctx: Context, claimed: Claimed, wait: timedelta) -> None:
    log.warning("account %s: by its site's clock grace goes on for %s", claimed.account.id, wait)
    retry_at = ctx.clock() + min(wait, LONGEST_LOOK)
    commit("reclaim.later", ctx.store, lambda tx: accounts.release(tx, claimed, retry_at=retry_at))


def _begin(ctx: Context, tx: Tx, claimed: Claimed) -> Claimed | None:
    """RECLAIMING, unless a contract or a hold has arrived since the claim: up to here those win."""
    known = accounts.get(tx, claimed.account.id, lock=True)
    if known is not None and (known.convert_asked or known.hold):
        accounts.release(tx, claimed)
        return None
    journal.write(tx, "account.reclaiming", claimed.account.id, f"worker:{ctx.worker}",
                  generation=claimed.generation)
    return accounts.save(tx, claimed.account.move(State.RECLAIMING, at=ctx.clock()), claimed, release=False)


def _remove(ctx: Context, claimed: Claimed, site: Site) -> None:
    account, spec = claimed.account, spec_of(claimed.account)
    with ctx.store.read() as tx:
        record = accounts.record(tx, account.id)
    if record.account.hold:
        commit("reclaim.later", ctx.store, lambda tx: accounts.release(tx, claimed))
        return
    inventory = dict(record.inventory)
    if "before" not in inventory:
        inventory |= _last_look(ctx, site, account, inventory)
    effect("reclaim.destroy", ctx.stacks.destroy, account.id, spec, site)
    only(effect("reclaim.clean", site.clean, [(account.id, claimed.generation)]))
    left = site.leftovers(account.id)
    if left:
        raise _not_empty(site.name, left)
    effect("reclaim.forget", ctx.stacks.remove, account.id)
    site_time = site.now()
    commit("reclaim.done", ctx.store, lambda tx: _done(ctx, tx, claimed, inventory, site_time))
    ctx.wake.set()


def _last_look(ctx: Context, site: Site, account: Account, inventory: dict[str, Any]) -> dict[str, Any]:
    """What is there before anything is removed, and the meters' last reading, kept together or not at all."""
    used = metering.last(ctx, site, account, inventory)
    size = tried("stored", site.stored, account.id)
    stored = None if isinstance(size, Trouble) else size
    before = [asdict(item) for item in site.leftovers(account.id)]

    def keep(tx: Tx) -> dict[str, Any]:
        metering.keep(ctx, tx, account, used)
        found = {"before": before, "usage": metering.summary(ctx, tx, account, inventory, stored)}
        accounts.keep_inventory(tx, account.id, **found)
        return found

    return commit("reclaim.inventory", ctx.store, keep)


def _not_empty(site: str, left: list[Leftover]) -> NeedsHuman:
    """A listing that failed counts as not empty."""
    shown = [f"{item.kind} {item.what}{' (could not be listed)' if item.unlisted else ''}" for item in left[:10]]
    return NeedsHuman(f"site {site}: still there: {', '.join(shown)}",
                      remedy="if this goes on, remove it at the site by hand; Tenure looks again by itself")


def _done(ctx: Context, tx: Tx, claimed: Claimed, inventory: dict[str, Any], site_time: datetime) -> None:
    now = ctx.clock()
    account = claimed.account.move(State.RECLAIMED, at=now)
    signed = certificate.certify(tx, account, inventory, now, site_time)
    accounts.save(tx, account, claimed, release=True)
    certificates.put(tx, signed)
    capacity.release(tx, account.id)
    never_usable = account.starts_at is None
    if never_usable:
        entitlement.restore(tx, account.id, now)
    if account.contract is not None:
        contracts.end(tx, account, now)
    journal.write(tx, "account.reclaimed", account.id, f"worker:{ctx.worker}", generation=claimed.generation,
                  voucher_restored=never_usable)
    tell(ctx, tx, claimed.sender, "account.reclaimed", account.id,
         {**facts(account), "reclaimed_at": text(now), "voucher_restored": never_usable})
