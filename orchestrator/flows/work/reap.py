"""The scheduled teardown job: fences what is due, reclaims what is past grace, with no server or worker running."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Literal

from orchestrator.flows.context import Context
from orchestrator.flows.trouble import Trouble, tried
from orchestrator.flows.work.sweep import Sweep
from orchestrator.lifecycle.account import USABLE, Account, FencedBy, State
from orchestrator.lifecycle.due import Owed
from orchestrator.store import accounts
from orchestrator.store.accounts import AccountRecord, Filter

REAPED = frozenset({Owed.FENCE, Owed.WARN, Owed.RECLAIM})
PAGE = 500
PATIENCE = timedelta(minutes=30)
"""How long one run may take; what is left is the next run's."""
SITES_AT_ONCE, SIZES_AT_ONCE = 16, 8

What = Literal["warn", "fence", "keep", "delete"]


@dataclass(frozen=True, slots=True)
class Planned:
    """What a run at that time would do to one account. `stored` None: the site did not say."""

    account: str
    site: str
    offer: str
    state: State
    what: What
    at: datetime
    why: str
    quota: int
    stored: int | None = None


@dataclass(slots=True)
class Reaped:
    """What one run did, by account id, and what it could not do."""

    warned: list[str] = field(default_factory=list)
    fenced: list[str] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    stuck: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    """Due, and not taken up: beyond `most`, or in another worker's hands."""


def plan(ctx: Context, at: datetime, most: int | None = None, measure: bool = True) -> list[Planned]:
    """A rehearsal of `reap` at that time; changes nothing. Sizes are asked of the sites that answer."""
    found = [one for record in _live(ctx) for one in _planned(record.account, at)]
    acts = sorted((one for one in found if one.what != "keep"), key=lambda one: (one.at, one.account))
    kept = [one for one in found if one.what == "keep"]
    shown = (acts if most is None else acts[:most]) + kept
    sizes = _sizes(ctx, shown) if measure else {}
    return [replace(one, stored=sizes.get(one.account)) if one.what == "delete" else one for one in shown]


def reap(ctx: Context, most: int | None = None) -> Reaped:
    """Do it now, for at most `most` accounts. Safe twice at once, and beside a worker."""
    due = [one for one in plan(ctx, ctx.clock(), measure=False) if one.what != "keep"]
    before = {record.id: record for record in _live(ctx)}
    ids = {one.account for one in due}
    deadline = ctx.clock() + PATIENCE
    with Sweep(ctx, REAPED, most=most) as sweep:
        while ctx.clock() < deadline:
            taken = sweep.claimed
            sweep.tick(ctx.clock())
            sweep.idle((deadline - ctx.clock()).total_seconds())
            if sweep.claimed == taken:
                break
    return _result(ctx, ids, before)


def _result(ctx: Context, ids: set[str], before: Mapping[str, AccountRecord]) -> Reaped:
    done = Reaped()
    with ctx.store.read() as tx:
        after = {id: accounts.record(tx, id) for id in sorted(before)}
    for id, record in after.items():
        was, now = before[id].account, record.account
        if now.state is State.RECLAIMED:
            done.deleted.append(id)
        if _fence_fell(was, now):
            done.fenced.append(id)
        if now.warned > was.warned:
            done.warned.append(id)
        if id in ids and record.stuck is not None:
            done.stuck.append(id)
        elif id in ids and now.state is was.state and now.warned == was.warned and now.fenced_by is was.fenced_by:
            done.left.append(id)
    return done


def _fence_fell(was: Account, now: Account) -> bool:
    if was.state in USABLE:
        return now.state not in USABLE
    return was.fenced_by is FencedBy.OPERATOR and now.fenced_by is FencedBy.END


def _live(ctx: Context) -> Iterator[AccountRecord]:
    after: str | None = None
    while True:
        with ctx.store.read() as tx:
            page = accounts.select(tx, Filter(live=True), PAGE, after)
        yield from page
        if len(page) < PAGE:
            return
        after = page[-1].id


def _sizes(ctx: Context, shown: Iterable[Planned]) -> dict[str, int]:
    """What accounts that would be deleted store, asked of their sites: all sites at once, each several at a time."""
    by_site: dict[str, list[str]] = {}
    for one in shown:
        if one.what == "delete":
            by_site.setdefault(one.site, []).append(one.account)
    return stored(ctx, by_site)


def stored(ctx: Context, by_site: Mapping[str, Sequence[str]], within: timedelta | None = None) -> dict[str, int]:
    """Bytes that accounts store, where their site says so; sites that have not said it by then are left out."""
    if not by_site:
        return {}
    pool = ThreadPoolExecutor(min(SITES_AT_ONCE, len(by_site)), "sizes")
    try:
        asked = [pool.submit(_sizes_at, ctx, site, ids) for site, ids in by_site.items()]
        said, _ = wait(asked, None if within is None else within.total_seconds())
        return {account: size for one in said for account, size in one.result().items()}
    finally:
        pool.shutdown(wait=within is None, cancel_futures=True)


def _sizes_at(ctx: Context, site: str, ids: Sequence[str]) -> dict[str, int]:
    """A site that does not answer for the first account is not asked for the others."""
    def ask(id: str) -> int | None:
        stored = tried("stored", lambda: ctx.sites.get(site).stored(id))
        return None if isinstance(stored, Trouble) else stored

    found = {ids[0]: ask(ids[0])}
    if found[ids[0]] is None:
        return {}
    with ThreadPoolExecutor(SIZES_AT_ONCE, f"sizes-{site}") as pool:
        found |= dict(zip(ids[1:], pool.map(ask, ids[1:]), strict=True))
    return {id: stored for id, stored in found.items() if stored is not None}


def _planned(account: Account, at: datetime) -> list[Planned]:
    return [Planned(account.id, account.site, account.offer.name, account.state, what, when, why,
                    account.offer.storage) for what, when, why in _steps(account, at)]


def _steps(account: Account, at: datetime) -> list[tuple[What, datetime, str]]:
    """What befalls this account up to that time, in order; `keep` when it stays as it is."""
    if account.booked(at) and account.begins_at is not None:
        return [("keep", account.begins_at, "is booked, and begins then")]
    if account.state in (State.REQUESTED, State.PROVISIONING):
        return [("keep", account.provision_by, "is being made")]
    if account.state in (State.FAILED, State.RECLAIMING):
        return [("keep", account.since, "held")] if account.hold else [("delete", account.since, str(account.state))]
    assert account.ends_at is not None
    steps: list[tuple[What, datetime, str]] = []
    usable, by_operator = account.state in USABLE, account.fenced_by is FencedBy.OPERATOR
    ended = account.ends_at <= at
    fence_now = (usable and (ended or account.reclaim_asked)) or (by_operator and ended)
    if usable and not fence_now and account.warned < sum(due <= at for due in account.warnings()):
        steps.append(("warn", max(due for due in account.warnings() if due <= at), "before its end"))
    if fence_now:
        steps.append(("fence", account.since if account.reclaim_asked else account.ends_at,
                      "asked for" if account.reclaim_asked else "its end"))
    steps += _removal(account, at, fenced_at_end=ended)
    return steps or [("keep", account.ends_at, "runs until then" if usable else "fenced by an operator")]


def _removal(account: Account, at: datetime, fenced_at_end: bool) -> list[tuple[What, datetime, str]]:
    assert account.ends_at is not None
    grace_until = account.ends_at + account.offer.grace
    if not (account.reclaim_asked or (fenced_at_end and grace_until <= at)):
        return [("keep", grace_until, "in grace")] if fenced_at_end else []
    if account.hold:
        return [("keep", grace_until, "held")]
    if account.convert_asked:
        return [("keep", grace_until, f"is being converted to contract {account.contract}")]
    return [("delete", account.since if account.reclaim_asked else grace_until,
             "asked for" if account.reclaim_asked else "grace is over")]
