"""A later (or earlier) end. In the last second the site's answer to `arm` decides, and the database records it."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

from orchestrator.flows.accounts import operate, placement
from orchestrator.flows.accounts.fence import save as save_fenced
from orchestrator.flows.context import Context, spec_of
from orchestrator.flows.effects import commit, effect
from orchestrator.flows.messages.callbacks import facts, text
from orchestrator.flows.messages.reminders import contract_ending
from orchestrator.flows.messages.tell import tell
from orchestrator.lifecycle.account import USABLE, Account, FencedBy, State
from orchestrator.lifecycle.contract import OPEN_END
from orchestrator.lifecycle.errors import RuleError
from orchestrator.store import accounts, capacity, journal
from orchestrator.store.accounts import Claimed
from orchestrator.store.engine import Tx
from providers.protocol import AlreadyFenced, SiteError


def extend(ctx: Context, account_id: str, *, to: datetime | None = None, by: timedelta | None = None, actor: str,
           why: str = "") -> Account:
    """Move the end `to` an instant or `by` a time (one of them). Answers the account as it is then.

    RuleError: not_found, bad_end, not_usable, being_converted, no_capacity, already_fenced (the site was first).
    Busy when a worker has it at this moment.
    """
    if (to is None) == (by is None):
        raise RuleError("bad_end", "say either until when or by how much")
    claimed = operate.take(ctx, "extend.claim", account_id)
    with operate.giving_back(ctx, claimed):
        before = claimed.account
        movable(before)
        assert before.ends_at is not None
        end = end_of(ctx, before.ends_at, to, by)

        def told(tx: Tx, account: Account) -> None:
            journal.write(tx, "account.extended", account.id, actor, why, before=before.ends_at, ends_at=end,
                          generation=claimed.generation)
            tell_moved(ctx, tx, claimed, account, "operator")

        return move_end(ctx, claimed, end, told)


def tell_moved(ctx: Context, tx: Tx, claimed: Claimed, account: Account, by: str) -> None:
    """Tell sender and holder of the new end. `by`: `operator`, or `outage` for one that is made good."""
    before = claimed.account.ends_at
    if account.ends_at != before:
        tell(ctx, tx, claimed.sender, "account.extended", account.id,
             {**facts(account), "ends_at_before": text(before), "by": by})


def movable(account: Account) -> None:
    """RuleError (not_usable, being_converted) when the account has no end that could be moved."""
    if account.state not in USABLE or account.ends_at is None:
        raise RuleError("not_usable", f"account {account.id} is {account.state}: only a usable account has an end to"
                                      " move")
    if account.convert_asked or account.reclaim_asked:
        raise RuleError("being_converted", f"account {account.id} is being converted or taken back")


def move_end(ctx: Context, claimed: Claimed, end: datetime, told: Callable[[Tx, Account], None]) -> Account:
    """Keep the place, ask the site, save; `told` writes down why, in the transaction that saves. The claim is given
    back. RuleError: no_capacity, already_fenced."""
    account = claimed.account
    assert account.ends_at is not None
    # Until the site has taken an earlier end, the account stays where it is: so does its place.
    if not _keep_place(ctx, account, max(end, account.ends_at)):
        raise RuleError("no_capacity", f"others hold the place of account {account.id} by then")
    try:
        answer = effect("extend.arm", ctx.sites.get(account.site).arm, spec_of(account), end, claimed.generation)
    except SiteError:
        _keep_place(ctx, account, account.ends_at)
        raise
    if isinstance(answer, AlreadyFenced):
        _keep_place(ctx, account, account.ends_at)
        by_whom = FencedBy(answer.by)
        commit("extend.save", ctx.store, lambda tx: save_fenced(ctx, tx, claimed, answer.at, by_whom,
                                                                f"site:{account.site}"))
        raise RuleError("already_fenced", f"account {account.id} was fenced at its site at {text(answer.at)}")
    done = commit("extend.save", ctx.store, lambda tx: _save(ctx, tx, claimed, end, told))
    operate.take_notice_down(ctx, account)
    ctx.wake.set()
    return done


def _keep_place(ctx: Context, account: Account, end: datetime) -> bool:
    """Before the site is asked: what it has been promised must not be promised to another."""
    until = placement.held_until(account.offer, end)
    return commit("extend.place", ctx.store, lambda tx: capacity.extend(tx, account.id, until, ctx.clock()))


def end_of(ctx: Context, now_ends: datetime, to: datetime | None, by: timedelta | None) -> datetime:
    """The end that this would be. RuleError `bad_end`."""
    try:
        end = to if to is not None else now_ends + (by or timedelta())
    except OverflowError as beyond:
        raise RuleError("bad_end", "that is beyond the end of the calendar") from beyond
    if end.tzinfo is None or end <= ctx.clock() or end > OPEN_END:
        raise RuleError("bad_end", f"{end.isoformat()} is not an end: it must be in the future and have a time zone")
    return end


def _save(ctx: Context, tx: Tx, claimed: Claimed, end: datetime, told: Callable[[Tx, Account], None]) -> Account:
    account = replace(claimed.account, ends_at=end)
    account = replace(account, warned=sum(at <= ctx.clock() for at in account.warnings()))
    accounts.save(tx, account, claimed, release=True)
    capacity.extend(tx, account.id, placement.held_until(account.offer, end), ctx.clock())
    told(tx, account)
    if account.state is State.CONTRACTED:
        contract_ending(ctx, tx, claimed.sender, account)
    return account
