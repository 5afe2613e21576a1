"""Conversion in place: previewed, then armed with the contract's end, then converged. Never destroys, never twice.

A contract goes PENDING → ACCEPTED (the preview replaces nothing; from here on only the site's answer counts) → ACTIVE.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from orchestrator.flows.accounts import operate, placement
from orchestrator.flows.context import Context, Difference, spec_of
from orchestrator.flows.effects import commit, effect
from orchestrator.flows.messages.callbacks import facts, text
from orchestrator.flows.messages.reminders import contract_ending, grace_ends
from orchestrator.flows.messages.tell import tell
from orchestrator.lifecycle.account import USABLE, Account, FencedBy, State
from orchestrator.lifecycle.contract import OPEN_END, Contract, ContractState
from orchestrator.lifecycle.errors import RuleError
from orchestrator.lifecycle.offer import Offer
from orchestrator.store import accounts, capacity, contracts, journal
from orchestrator.store.accounts import Claimed
from orchestrator.store.engine import Tx
from providers.protocol import AlreadyFenced, Site, SiteError

DESTRUCTIVE = frozenset({"replace", "delete"})


@dataclass(frozen=True, slots=True)
class Ask:
    """A signed contract for an account. `ends_at` None: open. `document` is the paper's SHA-256 in hex."""

    id: str
    account: str
    offer: str
    ends_at: datetime | None
    document: str

    def contract(self) -> Contract:
        """The contract that this becomes."""
        return Contract(self.id, self.account, self.offer, self.ends_at or OPEN_END, self.document)


def preview(ctx: Context, account: Account, asked: Ask) -> Sequence[Difference]:
    """What the conversion would change; nothing where there is nothing to change yet, or any more.

    RuleError as of `ask`, also when the account has come to its end while it was looked at; SiteError.
    """
    if account.state not in (State.ACTIVE, State.FENCED):
        return ()
    with ctx.store.read() as tx:
        offer = placement.offer_named(tx, asked.offer)
    try:
        return ctx.stacks.preview(account.id, spec_of(account, offer), ctx.sites.get(account.site))
    except SiteError:
        with ctx.store.read() as tx:
            now = accounts.get(tx, account.id)
        _convertible(now or account, asked.contract(), ctx.clock())
        raise


def ask(ctx: Context, asked: Ask, *, actor: str, sender: str | None = None, why: str = "") -> Contract:
    """Write the wish down; the sweep converts. The same contract again is the same answer. `sender` (its id) limits
    whose accounts are known.

    RuleError: not_found, not_ready, too_late, contract_pending, already_contracted, fenced_by_operator, bad_end,
    offer_unknown, no_capacity. Conflict when the contract's id is known with other terms.
    """
    known = commit("ask.convert", ctx.store, lambda tx: _ask(ctx, tx, asked.contract(), actor, sender, why))
    ctx.wake.set()
    return known


def _ask(ctx: Context, tx: Tx, contract: Contract, actor: str, sender: str | None, why: str) -> Contract:
    account, now = accounts.get(tx, contract.account, lock=True), ctx.clock()
    if account is None or (sender is not None and accounts.record(tx, account.id).sender != sender):
        raise RuleError("not_found", f"there is no account {contract.account!r}")
    contracts.add(tx, contract)
    known = contracts.get(tx, account.id, contract.id)
    assert known is not None
    if account.contract == contract.id or known.state is not ContractState.PENDING:
        return known
    _convertible(account, contract, now)
    offer = placement.offer_named(tx, contract.offer)
    _keep_place(tx, account, offer, contract.ends_at, now)
    asked = accounts.save(tx, replace(account, contract=contract.id, convert_asked=True), account)
    journal.write(tx, "contract.asked", account.id, actor, why, contract=contract.id, document=contract.document,
                  ends_at=contract.ends_at)
    tell(ctx, tx, accounts.record(tx, account.id).sender, "contract.signed", account.id,
         {**facts(asked), "contract_ends_at": text(contract.ends_at), "document": contract.document,
          "by": _signer(actor)})
    return known


def _signer(actor: str) -> str:
    """Who brought the signature: the holder at their link, the sender by its event, or an operator."""
    kind = actor.partition(":")[0]
    return kind if kind in ("holder", "sender") else "operator"


def _convertible(account: Account, contract: Contract, now: datetime) -> None:
    match account.state:
        case State.REQUESTED | State.PROVISIONING:
            raise RuleError("not_ready", f"account {account.id} is being made; ask again once it is usable")
        case State.FAILED | State.RECLAIMING | State.RECLAIMED:
            raise RuleError("too_late", f"account {account.id} is {account.state}: nothing is left to convert")
        case State.CONTRACTED:
            raise RuleError("already_contracted", f"account {account.id} has contract {account.contract!r}")
    if account.convert_asked:
        raise RuleError("contract_pending", f"account {account.id} is being converted to {account.contract!r}")
    if account.reclaim_asked:
        raise RuleError("too_late", f"account {account.id} is being taken back")
    if account.fenced_by is FencedBy.OPERATOR:
        raise RuleError("fenced_by_operator", f"account {account.id} is fenced by an operator, who must lift it first")
    if contract.ends_at <= now:
        raise RuleError("bad_end", f"the contract's end {contract.ends_at.isoformat()} has passed")


def _keep_place(tx: Tx, account: Account, offer: Offer, end: datetime, now: datetime) -> None:
    """The account's place, for as long as the contract; of the contract's offer where that is another."""
    until = placement.held_until(offer, end)
    if offer.name != account.offer.name:
        kept = capacity.move(tx, account.id, account.site, offer.name, now, until, now)
    else:
        kept = capacity.extend(tx, account.id, until, now)
    if not kept:
        raise RuleError("no_capacity", f"site {account.site} has no place for {offer.name!r} until then")


def convert(ctx: Context, claimed: Claimed) -> None:
    """Do it, or refuse it with the reason. Raises what went wrong when it may be tried again."""
    account = claimed.account
    with ctx.store.read() as tx:
        contract = contracts.get(tx, account.id, account.contract or "")
        offer = placement.offer_named(tx, contract.offer) if contract else account.offer
    if contract is None:
        raise LookupError(f"account {account.id}: its contract {account.contract!r} is not in the database")
    if account.fenced_by is FencedBy.OPERATOR:
        _refuse(ctx, claimed, contract, "fenced by an operator")
        return
    site = ctx.sites.get(account.site)
    if contract.state is ContractState.PENDING:
        changes = _look(ctx, account, offer, site)
        destroyed = [change for change in changes if change.op in DESTRUCTIVE]
        if destroyed:
            _refuse(ctx, claimed, contract, "it would destroy: " + "; ".join(map(_told, destroyed)))
            return
        contract = replace(contract, state=ContractState.ACCEPTED)
        commit("convert.accept", ctx.store, lambda tx: contracts.save(tx, contract))
    armed = _arm(ctx, claimed, contract, offer, site)
    if armed is None:
        _refuse(ctx, claimed, contract, f"its end {contract.ends_at.isoformat()} has passed")
        return
    effect("convert.up", ctx.stacks.up, account.id, spec_of(account, offer), site)
    commit("convert.done", ctx.store, lambda tx: _done(ctx, tx, armed, contract, offer))
    operate.take_notice_down(ctx, account)
    ctx.wake.set()


def _look(ctx: Context, account: Account, offer: Offer, site: Site) -> Sequence[Difference]:
    """What the conversion would change, compared with the site as it is and not as it is remembered."""
    spec = spec_of(account, offer)
    effect("convert.refresh", ctx.stacks.refresh, account.id, spec_of(account), site)
    return ctx.stacks.preview(account.id, spec, site)


def _told(change: Difference) -> str:
    return f"{change.op} {change.resource}" + (f" ({', '.join(change.details)})" if change.details else "")


def _arm(ctx: Context, claimed: Claimed, contract: Contract, offer: Offer, site: Site) -> Claimed | None:
    """Give the site the contract's end: its answer decides against the fence. None when that end has passed."""
    spec = spec_of(claimed.account, offer)
    if claimed.account.state in USABLE:
        answer = effect("convert.arm", site.arm, spec, contract.ends_at, claimed.generation)
        if isinstance(answer, AlreadyFenced):
            fenced_at = answer.at
            claimed = commit("convert.overtaken", ctx.store, lambda tx: _overtaken(ctx, tx, claimed, fenced_at))
    if claimed.account.state is State.FENCED:
        answer = effect("convert.unfence", site.unfence, spec, claimed.generation, contract.ends_at)
        if isinstance(answer, AlreadyFenced):
            return None
    account = replace(claimed.account, ends_at=contract.ends_at)
    held = claimed
    return commit("convert.armed", ctx.store, lambda tx: accounts.save(tx, account, held, release=False))


def _overtaken(ctx: Context, tx: Tx, claimed: Claimed, fenced_at: datetime) -> Claimed:
    """The site fenced it before the new end came: that is recorded, and the conversion goes on from the fence."""
    account = replace(claimed.account.move(State.FENCED, at=ctx.clock()), fenced_at=fenced_at, fenced_by=FencedBy.END)
    journal.write(tx, "account.fenced", account.id, f"site:{account.site}", by="end", fenced_at=fenced_at,
                  generation=claimed.generation)
    grace_ends(ctx, tx, claimed.sender, account)
    return accounts.save(tx, account, claimed, release=False)


def _done(ctx: Context, tx: Tx, claimed: Claimed, contract: Contract, offer: Offer) -> None:
    account = replace(claimed.account.move(State.CONTRACTED, at=ctx.clock()), offer=offer, ends_at=contract.ends_at,
                      convert_asked=False, warned=0)
    accounts.save(tx, account, claimed, release=True)
    # Its end may pass while the stack converges: then it was never in force, and never for less than no time.
    contracts.save(tx, replace(contract, state=ContractState.ACTIVE, begun_at=min(ctx.clock(), contract.ends_at)))
    journal.write(tx, "account.converted", account.id, f"worker:{ctx.worker}", contract=contract.id,
                  generation=claimed.generation, ends_at=contract.ends_at)
    for type in ("account.converted", "contract.active"):
        tell(ctx, tx, claimed.sender, type, account.id, facts(account))
    contract_ending(ctx, tx, claimed.sender, account)


def _refuse(ctx: Context, claimed: Claimed, contract: Contract, why: str) -> None:
    """The account goes on as if nobody had asked; the sender is told why."""
    before = claimed.account
    account = replace(before, contract=None, convert_asked=False)

    def save(tx: Tx) -> None:
        accounts.save(tx, account, claimed, release=True)
        contracts.save(tx, replace(contract, state=ContractState.REFUSED))
        end = before.ends_at or ctx.clock()
        until = placement.held_until(before.offer, end)
        if contract.offer == before.offer.name:
            capacity.extend(tx, before.id, until, ctx.clock())
        else:
            capacity.put(tx, before.id, before.site, before.offer.name, ctx.clock(), until)
        journal.write(tx, "contract.refused", before.id, f"worker:{ctx.worker}", why, contract=contract.id)
        tell(ctx, tx, claimed.sender, "contract.refused", before.id,
             {**facts(account), "contract": contract.id, "reason": why, "at": text(ctx.clock())})

    commit("convert.refuse", ctx.store, save)
    ctx.wake.set()
