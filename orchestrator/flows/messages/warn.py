"""Warnings: the holder's terminals at the site, the sender by callback. What cannot be shown never delays an end."""

import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta

from orchestrator.flows.context import Context
from orchestrator.flows.effects import commit, effect
from orchestrator.flows.messages import texts
from orchestrator.flows.messages.callbacks import facts
from orchestrator.flows.messages.tell import tell
from orchestrator.flows.trouble import Trouble, later, tried
from orchestrator.lifecycle.account import Account
from orchestrator.store import accounts, journal
from orchestrator.store.accounts import Claimed
from orchestrator.store.engine import Tx
from orchestrator.store.errors import Conflict

log = logging.getLogger(__name__)

AT_ONCE = 4
TRIES = 3
"""After so many the sender alone is told: the terminal cannot be reached."""
LONGEST_PAUSE = timedelta(seconds=5)


def warn(ctx: Context, site: str, batch: Sequence[Claimed]) -> None:
    """Give each account of one site its warning; each stands for itself."""
    with ThreadPoolExecutor(min(AT_ONCE, len(batch)), f"warn-{site}") as pool:
        for _ in pool.map(lambda claimed: tried("warn", _warn, ctx, claimed), batch):
            pass


def _warn(ctx: Context, claimed: Claimed) -> None:
    account, now = claimed.account, ctx.clock()
    shown = tried("warn", _show, ctx, account, texts.warning(account, now, ctx.settings.timezone))
    if isinstance(shown, Trouble) and claimed.attempts + 1 < TRIES:
        later(ctx, "warn.later", claimed, shown, LONGEST_PAUSE)
        return
    told = not isinstance(shown, Trouble)

    def save(tx: Tx) -> None:
        accounts.save(tx, replace(account, warned=_given(account, now)), claimed, release=True)
        journal.write(tx, "account.warned", account.id, f"worker:{ctx.worker}", terminal=told)
        tell(ctx, tx, claimed.sender, "account.warning", account.id,
             {**facts(account), "remaining_seconds": int(account.remaining(now).total_seconds())})

    try:
        commit("warn.save", ctx.store, save)
    except Conflict as lost:
        log.info("%s", lost)


def _show(ctx: Context, account: Account, text: str) -> None:
    effect("warn.notice", ctx.sites.get(account.site).warn, account.id, text)


def _given(account: Account, now: datetime) -> int:
    """One text stands for all warnings that are past: after an outage nobody is warned twice in a second."""
    return max(account.warned + 1, sum(at <= now for at in account.warnings()))
