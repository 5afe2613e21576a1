"""Reading meters: what accounts have used is asked of their sites, kept for ever, and read a last time before anything
is removed. A reading that fails is made good by a later one, since sites remember; what never comes is a gap."""

import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

from orchestrator.flows.context import Context
from orchestrator.flows.effects import commit
from orchestrator.flows.messages.callbacks import text
from orchestrator.flows.named import account_named
from orchestrator.flows.trouble import Trouble, tried
from orchestrator.flows.usage import stints
from orchestrator.flows.vouchers import in_kind
from orchestrator.lifecycle import usage as rules
from orchestrator.lifecycle.account import Account, State
from orchestrator.lifecycle.errors import RuleError
from orchestrator.store import accounts, journal, usage
from orchestrator.store.accounts import Filter
from orchestrator.store.engine import Tx
from orchestrator.store.usage import Measured
from providers.protocol import NeedsHuman, Site, SiteError, TryLater

log = logging.getLogger(__name__)

READ = (State.ACTIVE, State.CONTRACTED, State.FENCED)
"""What a round reads. Before, there is nothing to measure; in RECLAIMING the last reading was made."""
PAGE = 200
WAIVED = "usage_waived"


@dataclass(slots=True)
class Round:
    """What one round at a site did: ids of those read, and of those that could not be, with the reason."""

    site: str
    read: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    down: bool = False
    """The site does not answer: the rest was not asked for."""


def read_site(ctx: Context, name: str, ids: Collection[str] | None = None) -> Round:
    """Read every account of the site, or those with these ids; one that cannot be read stops no other."""
    done = Round(name)
    site = tried("usage", ctx.sites.get, name)
    if isinstance(site, Trouble):
        done.down = True
        return done
    for state in READ:
        after: str | None = None
        while page := _page(ctx, Filter(site=name, state=state), after):
            after = page[-1].id
            for account in page if ids is None else [one for one in page if one.id in ids]:
                _read_one(ctx, site, account, done)
                if done.down:
                    return done
    return done


def _page(ctx: Context, which: Filter, after: str | None) -> list[Account]:
    with ctx.store.read() as tx:
        return [record.account for record in accounts.select(tx, which, PAGE, after)]


def _read_one(ctx: Context, site: Site, account: Account, done: Round) -> None:
    found = tried("usage", _read, ctx, site, account)
    if isinstance(found, Trouble):
        done.failed[account.id] = found.error
        done.down = isinstance(tried("clock", site.now), Trouble)
    else:
        done.read.append(account.id)


def _read(ctx: Context, site: Site, account: Account) -> None:
    intervals = _ask(ctx, site, account)
    if intervals:
        commit("meter.keep", ctx.store, lambda tx: keep(ctx, tx, account, intervals))


def _ask(ctx: Context, site: Site, account: Account) -> list[Measured]:
    """From where the last reading ended: the hour that it ended in is read again, whole."""
    with ctx.store.read() as tx:
        read_until = usage.read_until(tx, account.id, ctx.clock())
    since = read_until or account.starts_at or account.since
    found = [Measured(one.since, one.until, one.covered, one.amounts) for one in site.usage(account.id, since)]
    for one in found:
        try:
            rules.check(one)
        except ValueError as wrong:
            raise NeedsHuman(f"site {site.name}: account {account.id}: its meters say what cannot be: {wrong}",
                             remedy="look at the site's meters and its clock") from wrong
    return found


def keep(ctx: Context, tx: Tx, account: Account, intervals: Sequence[Measured]) -> None:
    """Keep a reading. Where the site says less than it has said before, that is written down and changes nothing."""
    lower = usage.put(tx, account.id, intervals, ctx.clock())
    in_kind.count(ctx, tx, account)
    if lower:
        first = lower[0]
        journal.write(tx, "usage.lower", account.id, f"site:{account.site}", hours=len(lower), meter=first.meter,
                      hour=first.hour, kept=first.kept, said=first.said)
        log.warning("account %s: its site says less than before of %s hours; what was read stays", account.id,
                    len(lower))


def last(ctx: Context, site: Site, account: Account, inventory: dict[str, Any]) -> list[Measured]:
    """The last reading, before anything is removed. While the site cannot give it, nothing is, unless an operator has
    said to go on without it. Raises SiteError."""
    if account.starts_at is None:
        return []
    try:
        return _ask(ctx, site, account)
    except SiteError as failed:
        if WAIVED in inventory:
            log.warning("account %s: is removed without a last reading: %s", account.id, failed)
            return []
        said = f"account {account.id}: its meters have to be read before it is removed: {failed}"
        if isinstance(failed, TryLater):
            raise TryLater(said, failed.after) from failed
        raise NeedsHuman(said, remedy=f"put that right, or go on with a gap: tenure usage waive {account.id}"
                         ) from failed


def summary(ctx: Context, tx: Tx, account: Account, inventory: dict[str, Any],
            stored: int | None) -> dict[str, Any] | None:
    """What an account has used in all, for its certificate; None when it never was usable. Gaps are said."""
    if account.starts_at is None:
        return None
    read_until = usage.read_until(tx, account.id)
    span = rules.lease(account, ctx.clock(), ctx.settings.metering.every, read_until)
    found = rules.gaps(usage.rows(tx, account.id, rules.hour_of(span[0]), span[1]),
                       rules.asked(stints.of(tx, account), span)) if span else []
    missing: dict[str, float] = {}
    for gap in found:
        missing[gap.meter] = missing.get(gap.meter, 0) + gap.missing.total_seconds()
    return {"since": text(account.starts_at), "until": text(read_until), "amounts": usage.totals(tx, account.id),
            "gaps_seconds": missing, "storage_bytes": stored, "last_reading_waived": WAIVED in inventory}


def waive(ctx: Context, account_id: str, *, actor: str, why: str = "") -> None:
    """Let this account be removed without a last reading, should its site not give one. RuleError: not_found,
    not_usable (it is gone, or was never there)."""

    def write(tx: Tx) -> None:
        account = account_named(tx, account_id, lock=True)
        if account.state is State.RECLAIMED or account.starts_at is None:
            raise RuleError("not_usable", f"account {account_id} is {account.state}: there is nothing to read of it")
        accounts.keep_inventory(tx, account_id, **{WAIVED: {"by": actor, "at": text(ctx.clock())}})
        journal.write(tx, "usage.waived", account_id, actor, why)

    commit("meter.waive", ctx.store, write)
    ctx.wake.set()
