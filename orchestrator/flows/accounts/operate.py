"""What operators do by hand to one account: fence, unfence, reclaim, retry, hold. Direct calls: claim, site, save."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta

from orchestrator.flows.accounts import fence as fences
from orchestrator.flows.context import Context, spec_of
from orchestrator.flows.effects import commit, effect
from orchestrator.flows.messages.callbacks import facts, text
from orchestrator.flows.messages.tell import tell
from orchestrator.flows.named import account_named
from orchestrator.flows.trouble import tried
from orchestrator.lifecycle.account import USABLE, Account, FencedBy, State
from orchestrator.lifecycle.contract import ContractState
from orchestrator.lifecycle.errors import RuleError
from orchestrator.store import accounts, contracts, holding, journal
from orchestrator.store.accounts import Claimed
from orchestrator.store.engine import Tx
from orchestrator.store.errors import Conflict, NotFound
from providers.protocol import AlreadyFenced

log = logging.getLogger(__name__)

LEASE = timedelta(seconds=15)


def take(ctx: Context, name: str, account_id: str) -> Claimed:
    """Claim the account for a direct call. RuleError `not_found`; Busy while a worker has it."""
    try:
        return commit(name, ctx.store, lambda tx: accounts.claim_one(tx, account_id, ctx.clock(), ctx.worker, LEASE))
    except NotFound as unknown:
        raise RuleError("not_found", f"there is no account {account_id!r}") from unknown


@contextmanager
def giving_back(ctx: Context, claimed: Claimed) -> Iterator[None]:
    """Whatever goes wrong, the sweep need not wait for this claim to lapse."""
    try:
        yield
    except BaseException:
        try:
            commit("operator.release", ctx.store, lambda tx: accounts.release(tx, claimed))
        except Conflict:
            log.debug("account %s: was saved or taken meanwhile", claimed.account.id)
        raise


def fence(ctx: Context, account_id: str, *, actor: str, why: str = "") -> Account:
    """Fence now, liftable until the end. Fenced already: the same answer. RuleError: not_found, not_usable."""
    claimed = take(ctx, "operator.claim", account_id)
    with giving_back(ctx, claimed):
        account = claimed.account
        if account.state is State.FENCED:
            commit("operator.release", ctx.store, lambda tx: accounts.release(tx, claimed))
            return account
        if account.state not in USABLE:
            raise RuleError("not_usable", f"account {account_id} is {account.state}: nobody can use it anyway")
        answers = effect("operator.fence", ctx.sites.get(account.site).fence, [(account.id, claimed.generation)],
                         "operator")
        if answers[0].error is not None or answers[0].at is None:
            raise answers[0].error or LookupError(f"site {account.site} gave no answer for account {account.id}")
        at = answers[0].at
        return commit("operator.save", ctx.store, lambda tx: fences.save(ctx, tx, claimed, at, FencedBy.OPERATOR, actor,
                                                                         why))


def unfence(ctx: Context, account_id: str, *, actor: str, why: str = "") -> Account:
    """Lift an operator's fence. RuleError: not_found, not_fenced, fence_at_end (never lifted), being_taken_back."""
    claimed = take(ctx, "operator.claim", account_id)
    with giving_back(ctx, claimed):
        account = claimed.account
        _liftable(account)
        assert account.ends_at is not None
        answer = effect("operator.unfence", ctx.sites.get(account.site).unfence, spec_of(account), claimed.generation,
                        account.ends_at)
        if isinstance(answer, AlreadyFenced):
            commit("operator.save", ctx.store, lambda tx: fences.save(ctx, tx, claimed, answer.at, FencedBy.END,
                                                                      f"site:{account.site}"))
            raise RuleError("fence_at_end", f"account {account_id}: its end has passed at the site")
        return commit("operator.save", ctx.store, lambda tx: _lift(ctx, tx, claimed, actor, why))


def _liftable(account: Account) -> None:
    if account.state is not State.FENCED:
        raise RuleError("not_fenced", f"account {account.id} is {account.state}, not fenced")
    if account.fenced_by is not FencedBy.OPERATOR:
        raise RuleError("fence_at_end", f"account {account.id} was fenced at its end: only a contract lifts that")
    if account.reclaim_asked:
        raise RuleError("being_taken_back", f"account {account.id} is being taken back")


def _lift(ctx: Context, tx: Tx, claimed: Claimed, actor: str, why: str) -> Account:
    before = claimed.account
    known = contracts.get(tx, before.id, before.contract) if before.contract else None
    in_force = known is not None and known.state is ContractState.ACTIVE
    account = before.move(State.CONTRACTED if in_force else State.ACTIVE, at=ctx.clock())
    accounts.save(tx, account, claimed, release=True)
    journal.write(tx, "account.unfenced", account.id, actor, why, generation=claimed.generation)
    tell(ctx, tx, claimed.sender, "account.unfenced", account.id, facts(account))
    return account


def reclaim(ctx: Context, account_id: str, *, actor: str, why: str = "") -> Account:
    """Take it back without waiting for its end or grace; the sweep does it. RuleError: not_found, not_ready,
    contract_pending."""
    account = commit("ask.reclaim", ctx.store, lambda tx: _ask_reclaim(ctx, tx, account_id, actor, why))
    ctx.wake.set()
    return account


def _ask_reclaim(ctx: Context, tx: Tx, account_id: str, actor: str, why: str) -> Account:
    account = account_named(tx, account_id, lock=True)
    if account.state in (State.RECLAIMING, State.RECLAIMED, State.FAILED) or account.reclaim_asked:
        return account
    if account.booked(ctx.clock()):
        raise RuleError("not_ready", f"account {account_id} is booked for {text(account.begins_at)}: cancel that")
    if account.state in (State.REQUESTED, State.PROVISIONING):
        raise RuleError("not_ready", f"account {account_id} is being made; it can be taken back once it is usable or"
                                     f" has failed, at {text(account.provision_by)} at the latest")
    if account.convert_asked:
        raise RuleError("contract_pending", f"account {account_id} is being converted to {account.contract!r}")
    asked = replace(account, reclaim_asked=True)
    journal.write(tx, "account.reclaim_asked", account_id, actor, why)
    return accounts.save(tx, asked, account)


def retry(ctx: Context, account_id: str, *, actor: str, why: str = "") -> Account:
    """Try what is stuck again now, without waiting for its pause; the mark goes when it works. RuleError: not_found,
    not_stuck."""
    account = commit("ask.retry", ctx.store, lambda tx: _ask_retry(tx, account_id, actor, why))
    ctx.wake.set()
    return account


def _ask_retry(tx: Tx, account_id: str, actor: str, why: str) -> Account:
    account = account_named(tx, account_id, lock=True)
    stuck = accounts.record(tx, account_id).stuck
    if stuck is None:
        raise RuleError("not_stuck", f"nothing is stuck about account {account_id}")
    journal.write(tx, "account.retry_asked", account_id, actor, why, failed=stuck.what, times=stuck.count)
    return accounts.save(tx, account, account)


def hold(ctx: Context, on: bool, *, account: str | None = None, site: str | None = None, actor: str,
         why: str = "") -> holding.Set:
    """Stop (or let go on) reclaim of one account, of a site, or with neither of everything; never a fence.

    Each is a hold of its own: letting one go leaves the others. RuleError `not_found`.
    """

    def write(tx: Tx) -> holding.Set:
        done = holding.put(tx, on, account=account, site=site)
        journal.write(tx, "hold.set" if on else "hold.lifted", account or site or holding.EVERYTHING, actor, why,
                      accounts=len(done.accounts), before=done.before)
        return done

    try:
        found = commit("ask.hold", ctx.store, write)
    except NotFound as unknown:
        raise RuleError("not_found", str(unknown)) from unknown
    ctx.wake.set()
    return found


def take_notice_down(ctx: Context, account: Account) -> None:
    """The end has moved: terminals must not go on showing the old one. Not worth failing for."""
    tried("notice", lambda: effect("operator.notice", ctx.sites.get(account.site).warn, account.id, ""))
