"""The end of a lease: all that is due at a site in one call, each account's answer for itself."""

import logging
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial

from orchestrator.flows.context import Context
from orchestrator.flows.effects import commit, effect
from orchestrator.flows.messages.callbacks import facts, text
from orchestrator.flows.messages.reminders import grace_ends
from orchestrator.flows.messages.tell import tell
from orchestrator.flows.trouble import Trouble, mark, tried, trouble
from orchestrator.lifecycle.account import USABLE, Account, FencedBy, State
from orchestrator.store import accounts, contracts, journal
from orchestrator.store.accounts import Claimed
from orchestrator.store.engine import Tx
from orchestrator.store.errors import Conflict
from providers.protocol import Fenced, Site, TryLater

log = logging.getLogger(__name__)

AT_ONCE = 8
LONGEST_PAUSE = timedelta(seconds=30)
SAVED_TOGETHER = 100
TRIES = 3


def fence(ctx: Context, site: str, batch: Sequence[Claimed]) -> bool:
    """Fence these accounts of one site. What did not work is given back, marked, and tried again for ever.

    True when the site as a whole does not answer.
    """
    reached = tried("fence", ctx.sites.get, site)
    if isinstance(reached, Trouble):
        put_off(ctx, [(claimed, reached) for claimed in batch])
        return True
    now = ctx.clock()
    ended = [claimed for claimed in batch if _ended(claimed.account, now)]
    early = [claimed for claimed in batch if not _ended(claimed.account, now)]
    down = [_group(ctx, reached, by, group)
            for by, group in ((FencedBy.END, ended), (FencedBy.OPERATOR, early)) if group]
    return any(down)


def _ended(account: Account, now: datetime) -> bool:
    """Whether it is its end that fences it, and not an operator who asked for it back early."""
    return account.ends_at is not None and account.ends_at <= now


def _group(ctx: Context, site: Site, by: FencedBy, group: Sequence[Claimed]) -> bool:
    answers = tried("fence", effect, "fence.site", site.fence, _pairs(group), by.value)
    if not isinstance(answers, Trouble):
        _record(ctx, by, group, {answer.account: answer for answer in answers})
        return False
    down = isinstance(tried("clock", site.now), Trouble)
    if down or len(group) == 1:
        put_off(ctx, [(claimed, answers) for claimed in group])
        return down
    # The site answers, so it is one of them that spoils the batch: each is asked for alone.
    with ThreadPoolExecutor(AT_ONCE, f"fence-{site.name}") as pool:
        for claimed, alone in zip(group, pool.map(lambda one: _alone(site, by, one), group), strict=True):
            _record(ctx, by, [claimed], {claimed.account.id: alone})
    return False


def _alone(site: Site, by: FencedBy, claimed: Claimed) -> Fenced | Trouble:
    answers = tried("fence", effect, "fence.each", site.fence, _pairs([claimed]), by.value)
    return answers if isinstance(answers, Trouble) else answers[0]


def _pairs(group: Iterable[Claimed]) -> list[tuple[str, int]]:
    return [(claimed.account.id, claimed.generation) for claimed in group]


def _record(ctx: Context, by: FencedBy, group: Sequence[Claimed], answers: dict[str, Fenced | Trouble]) -> None:
    done: list[tuple[Claimed, datetime]] = []
    undone: list[tuple[Claimed, Trouble]] = []
    for claimed in group:
        match answers.get(claimed.account.id):
            case Fenced(at=datetime() as at):
                done.append((claimed, at))
            case Fenced(error=error):
                undone.append((claimed, trouble("fence", error or TryLater("the site gave no reason"))))
            case Trouble() as found:
                undone.append((claimed, found))
            case None:
                undone.append((claimed, Trouble("fence", "the site did not answer for this account", "tenure")))
    for start in range(0, len(done), SAVED_TOGETHER):
        some = done[start:start + SAVED_TOGETHER]
        _write_down(ctx, "fence.save", partial(_save_all, ctx, by=by, done=some))
    put_off(ctx, undone)


def _write_down(ctx: Context, name: str, change: Callable[[Tx], None]) -> None:
    """A database that is busy with the same crowd of ends gets another chance before the claims lapse."""
    for _ in range(TRIES):
        if not isinstance(tried("fence", commit, name, ctx.store, change), Trouble):
            return
    log.error("%s: could not be written down; it is owed again when the claims lapse", name)


def _save_all(ctx: Context, tx: Tx, by: FencedBy, done: Sequence[tuple[Claimed, datetime]]) -> None:
    for claimed, at in done:
        try:
            save(ctx, tx, claimed, at, by, f"worker:{ctx.worker}")
        except Conflict as lost:
            log.info("%s", lost)


def save(ctx: Context, tx: Tx, claimed: Claimed, at: datetime, by: FencedBy, actor: str, why: str = "") -> Account:
    """Write down that the site has fenced this account, and tell it the first time."""
    account = fenced(claimed.account, at, by, ctx.clock())
    accounts.save(tx, account, claimed, release=True)
    if by is FencedBy.END:
        contracts.end(tx, account, ctx.clock())
    journal.write(tx, "account.fenced", account.id, actor, why, by=by.value, fenced_at=at,
                  generation=claimed.generation)
    if claimed.account.state in USABLE:
        tell(ctx, tx, claimed.sender, "account.fenced", account.id,
             {**facts(account), "fenced_at": text(at), "by": by.value, "kept_until": text(account.grace_until)})
    if claimed.account.fenced_by is not FencedBy.END:
        grace_ends(ctx, tx, claimed.sender, account)
    return account


def fenced(account: Account, at: datetime, by: FencedBy, now: datetime) -> Account:
    """The account under its fence. An operator's fence that reaches the end becomes the end's."""
    if account.state is State.FENCED:
        return replace(account, fenced_by=by)
    return replace(account.move(State.FENCED, at=now), fenced_at=at, fenced_by=by)


def put_off(ctx: Context, undone: Sequence[tuple[Claimed, Trouble]]) -> None:
    """Unfenced, and shown so: pauses grow, and it is tried for ever. The site ends the lease by itself meanwhile."""
    for start in range(0, len(undone), SAVED_TOGETHER):
        some = undone[start:start + SAVED_TOGETHER]
        _write_down(ctx, "fence.later", partial(_mark_all, ctx, undone=some))
    if undone:
        log.warning("UNFENCED: %d accounts, first %s: %s", len(undone), undone[0][0].account.id, undone[0][1].error)


def _mark_all(ctx: Context, tx: Tx, undone: Sequence[tuple[Claimed, Trouble]]) -> None:
    now = ctx.clock()
    for claimed, found in undone:
        try:
            mark(tx, claimed, found, now, LONGEST_PAUSE)
        except Conflict as lost:
            log.info("%s", lost)
