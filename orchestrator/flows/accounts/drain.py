"""Emptying a site: no new accounts, and what will become of those that are there."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from orchestrator.flows.accounts.extend import extend
from orchestrator.flows.context import Context
from orchestrator.flows.effects import commit
from orchestrator.flows.messages import texts
from orchestrator.flows.messages.notice import Noticed, Text, notify
from orchestrator.lifecycle.account import USABLE, Account, State
from orchestrator.lifecycle.contract import OPEN_END
from orchestrator.lifecycle.errors import RuleError
from orchestrator.store import accounts, journal, sites
from orchestrator.store.accounts import Filter
from orchestrator.store.engine import Tx
from orchestrator.store.errors import NotFound

PAGE = 500


class Fate(Enum):
    """What becomes of an account at a site that is drained."""

    BOOKED = "booked"
    """Yet to begin: it is to be moved or cancelled (`tenure booking`)."""
    MADE = "being made"
    ENDS = "ends by itself"
    SHORTENED = "ends earlier"
    OUTLIVES = "outlives it"
    """It goes on after the time by which the site is to be empty: it has to be ended, or to be waited for."""
    CONTRACT = "outlives it by contract"
    """As OUTLIVES; a contract's end is only moved when the account is named."""
    FENCED = "outlives it when unfenced"
    """Fenced by an operator, who may lift that: its end is as far away as another's, and only `account reclaim` ends it
    earlier."""
    LEAVING = "is fenced or taken back"


@dataclass(frozen=True, slots=True)
class Stay:
    """One account of the plan: until when it is usable, when the last of it is removed, and with `end_by` its new
    end."""

    account: Account
    fate: Fate
    ends_at: datetime | None
    empty_at: datetime | None
    new_end: datetime | None = None


@dataclass(frozen=True, slots=True)
class Wish:
    """`until`: when the site is to have no usable account; `end_by`: end by then what would go on longer, of contracts
    only the named accounts."""

    until: datetime | None = None
    end_by: datetime | None = None
    contracts: Collection[str] = ()


def plan(ctx: Context, site: str, wish: Wish) -> list[Stay]:
    """Every live account of the site, by its end. RuleError: not_found, bad_end, not_on_contract. Changes nothing."""
    if wish.end_by is not None and wish.end_by <= ctx.clock():
        raise RuleError("bad_end", f"{wish.end_by.isoformat()} is past: it cannot be an end")
    if wish.until is not None and wish.until <= ctx.clock():
        raise RuleError("bad_end", f"--until {wish.until.isoformat()} is past: say when the site is to be empty")
    with ctx.store.read() as tx:
        if sites.get(tx, site) is None:
            raise RuleError("not_found", f"there is no site {site!r}")
        found = _live(tx, site)
    under = {account.id for account in found if account.state is State.CONTRACTED}
    if strange := sorted(set(wish.contracts) - under):
        raise RuleError("not_on_contract", f"account {strange[0]!r} is not at site {site} under a contract")
    stays = [_stay(account, wish) for account in found]
    return sorted(stays, key=lambda stay: (stay.ends_at is None, stay.ends_at or ctx.clock(), stay.account.id))


def _live(tx: Tx, site: str) -> list[Account]:
    found: list[accounts.AccountRecord] = []
    while True:
        page = accounts.select(tx, Filter(site=site, live=True), PAGE, found[-1].id if found else None)
        found += page
        if len(page) < PAGE:
            return [record.account for record in found]


def _stay(account: Account, wish: Wish) -> Stay:
    end, limit = account.ends_at, wish.until or wish.end_by
    if account.state in (State.REQUESTED, State.PROVISIONING):
        return Stay(account, Fate.MADE if account.begins_at is None else Fate.BOOKED, end, None)
    if account.liftable and end is not None:
        return Stay(account, Fate.FENCED if limit is not None and end > limit else Fate.ENDS, end, _empty(account, end))
    if account.state not in USABLE or end is None:
        return Stay(account, Fate.LEAVING, end, account.grace_until)
    contracted = account.state is State.CONTRACTED
    movable = not contracted or account.id in wish.contracts
    if wish.end_by is not None and end > wish.end_by and movable:
        return Stay(account, Fate.SHORTENED, end, _empty(account, wish.end_by), wish.end_by)
    if limit is not None and end > limit:
        return Stay(account, Fate.CONTRACT if contracted else Fate.OUTLIVES, end, _empty(account, end))
    return Stay(account, Fate.ENDS, end, _empty(account, end))


def _empty(account: Account, end: datetime) -> datetime:
    return end if end >= OPEN_END else end + account.offer.grace


def drain(ctx: Context, site: str, on: bool, *, actor: str, why: str = "") -> None:
    """Give a site no new accounts, or new ones again; those that are there live on. RuleError `not_found`."""

    def write(tx: Tx) -> None:
        sites.drain(tx, site, on)
        journal.write(tx, "site.drained" if on else "site.undrained", site, actor, why)

    try:
        commit("drain.set", ctx.store, write)
    except NotFound as unknown:
        raise RuleError("not_found", str(unknown)) from unknown
    ctx.wake.set()


def shorten(ctx: Context, stay: Stay, *, actor: str, why: str = "") -> Account:
    """The new end of a SHORTENED account; the site's answer decides. RuleError as `extend` says."""
    return extend(ctx, stay.account.id, to=stay.new_end, actor=actor, why=why or f"site {stay.account.site} is drained")


def tell_holder(ctx: Context, id: str, said: Text | None, *, actor: str, why: str = "") -> Noticed:
    """Tell the holder of a usable account until when it is there, or what the operator says instead. RuleError:
    not_found, not_usable (it has ended meanwhile)."""
    with ctx.store.read() as tx:
        account = accounts.get(tx, id)
    if account is None or account.state not in USABLE:
        raise RuleError("not_found" if account is None else "not_usable", f"account {id} is not usable any more")
    text = said or Text(*texts.drained(account, ctx.settings.timezone))
    return notify(ctx, id, text, actor=actor, why=why or f"site {account.site} is drained")


def to_tell(stays: Sequence[Stay]) -> list[Stay]:
    """Whose holders have something to save: the usable ones."""
    return [stay for stay in stays if stay.account.state in USABLE]
