"""Accounts: adding, reading, guarded saving. Claiming them for work is in `claiming` and is offered here too."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, overload

import sqlalchemy as sa

from orchestrator.lifecycle.account import LIVE, Account, State
from orchestrator.store import holding, tables
from orchestrator.store.claiming import LOCKED, claim_due, claim_one, next_wake, release, renew
from orchestrator.store.engine import Tx
from orchestrator.store.errors import Conflict, NotFound
from orchestrator.store.rows import (
    AccountRecord,
    Claimed,
    Stuck,
    account_of,
    columns_of,
    due_columns,
    paused_of,
    record_of,
)

__all__ = ["AccountRecord", "Claimed", "Filter", "Stuck", "add", "claim_due", "claim_one", "count", "find", "get",
           "ids_live_at", "keep_inventory", "next_wake", "parties", "record", "release", "renew", "save", "select"]

_table = tables.accounts
_INSERT = _table.insert()


def add(tx: Tx, account: Account, *, sender: str, holder: str) -> None:
    """A new account. `holder` is what `holders.put` answered. What holds its site, or everything, holds it too."""
    held = tx.execute(sa.select(tables.sites.c.held).where(tables.sites.c.name == account.site)).scalar()
    if held is None:
        raise NotFound(f"account {account.id}: there is no site {account.site!r}")
    everything = holding.everything(tx)
    effective = replace(account, hold=account.hold or held or everything)
    tx.execute(_INSERT, columns_of(account) | due_columns(effective, None, None) | {
        "sender": sender, "holder": holder, "site_hold": held, "all_hold": everything, "attempts": 0})


def get(tx: Tx, id: str, *, lock: bool = False) -> Account | None:
    """The account, or None. With `lock` nobody else may change it until this transaction ends."""
    query = sa.select(_table).where(_table.c.id == id)
    row = tx.execute(query.with_for_update() if lock else query).first()
    return None if row is None else account_of(row)


def record(tx: Tx, id: str) -> AccountRecord:
    """The account with what is kept beside it. NotFound."""
    found = find(tx, id)
    if found is None:
        raise NotFound(f"there is no account {id!r}")
    return found


def find(tx: Tx, id: str) -> AccountRecord | None:
    """The same, or None."""
    row = tx.execute(sa.select(_table).where(_table.c.id == id)).first()
    return None if row is None else record_of(row)


def parties(tx: Tx) -> dict[str, tuple[str, str]]:
    """The sender (its id) and the holder (its reference) of each account there ever was."""
    rows = tx.execute(sa.select(_table.c.id, _table.c.sender, _table.c.holder))
    return {row.id: (row.sender, row.holder) for row in rows}


def held_before(tx: Tx, holder: str) -> bool:
    """Whether the holder has, or has had, an account that was or may become usable."""
    gone = sorted(state.value for state in (State.FAILED, State.RECLAIMING, State.RECLAIMED))
    found = tx.execute(sa.select(_table.c.id).where(_table.c.holder == holder, sa.or_(
        _table.c.starts_at.is_not(None), _table.c.state.not_in(gone))).limit(1))
    return found.first() is not None


@overload
def save(tx: Tx, account: Account, was: Claimed, *, release: bool) -> Claimed: ...
@overload
def save(tx: Tx, account: Account, was: Account, *, release: bool = False) -> Account: ...


def save(tx: Tx, account: Account, was: Claimed | Account, *, release: bool = False) -> Claimed | Account:
    """Write what changed between `was` and `account`, when the row still is as `was` was read. Otherwise Conflict.

    Only what changed is written, so an operator's hold or wish set meanwhile is kept. A claim saved with `release`
    is given back, its pause and STUCK mark cleared. Answers what to pass as `was` next.
    """
    before = was.account if isinstance(was, Claimed) else was
    row = _guarded(tx, before, was.worker if isinstance(was, Claimed) else None)
    old, new = columns_of(before), columns_of(account)
    changed = {name: value for name, value in new.items() if value != old[name]}
    found = row._mapping
    paused, claimed_until = paused_of(row), found["claimed_until"]
    if not isinstance(was, Claimed):
        paused = None  # a new wish is tried at once
        changed |= {"retry_of": None, "retry_at": None, "attempts": 0}
    elif release:
        paused = claimed_until = None
        changed |= {"retry_of": None, "retry_at": None, "attempts": 0, "stuck": None,
                    "claimed_until": None, "worker": None}
    merged = replace(account_of(row), **_account_fields(account, changed))
    own_hold = changed.get("hold", found["hold"])
    merged = replace(merged, hold=own_hold or row.site_hold or row.all_hold)
    tx.execute(sa.update(_table).where(_table.c.id == account.id)
               .values(**changed, **due_columns(merged, paused, claimed_until)))
    return replace(was, account=merged) if isinstance(was, Claimed) else merged


def _guarded(tx: Tx, before: Account, worker: str | None) -> sa.Row[Any]:
    """The row, locked, when it is as it was read."""
    row = tx.execute(LOCKED, {"of": before.id}).first()
    if row is None:
        raise NotFound(f"there is no account {before.id!r}")
    found = row._mapping
    if found["state"] != before.state.value or found["generation"] != before.generation or (
            worker is not None and found["worker"] != worker):
        raise Conflict(f"account {before.id}: read as {before.state}, generation {before.generation}, worker {worker};"
                       f" is now {found['state']}, generation {found['generation']}, worker {found['worker']}")
    return row


def _account_fields(account: Account, changed: dict[str, Any]) -> dict[str, Any]:
    return {name: getattr(account, name) for name in changed if name in Account.__dataclass_fields__}


def keep_inventory(tx: Tx, id: str, **lists: Any) -> None:
    """Add to what the account's record keeps (the listing before a reclaim, an address). Plain JSON, no secrets."""
    row = tx.execute(sa.select(_table.c.inventory).where(_table.c.id == id).with_for_update()).first()
    if row is None:
        raise NotFound(f"there is no account {id!r}")
    tx.execute(sa.update(_table).where(_table.c.id == id).values(inventory=(row.inventory or {}) | lists))


@dataclass(frozen=True, slots=True)
class Filter:
    """Which accounts; what is left out does not matter."""

    site: str | None = None
    state: State | None = None
    ending_before: datetime | None = None
    stuck: bool | None = None
    sender: str | None = None
    ids: Collection[str] | None = None
    live: bool | None = None
    beginning_after: datetime | None = None
    """Booked accounts that are yet to begin then."""


def select(tx: Tx, which: Filter, limit: int = 100, after: str | None = None) -> list[AccountRecord]:
    """Accounts by id; `after` is the last id of the page before."""
    query = sa.select(_table).where(*_fitting(which)).order_by(_table.c.id).limit(limit)
    if after is not None:
        query = query.where(_table.c.id > after)
    return [record_of(row) for row in tx.execute(query)]


def count(tx: Tx, which: Filter) -> int:
    """How many fit."""
    return tx.execute(sa.select(sa.func.count()).select_from(_table).where(*_fitting(which))).scalar_one()


def _fitting(which: Filter) -> list[sa.ColumnElement[bool]]:
    found = []
    if which.site is not None:
        found.append(_table.c.site == which.site)
    if which.sender is not None:
        found.append(_table.c.sender == which.sender)
    if which.state is not None:
        found.append(_table.c.state == which.state.value)
    if which.ending_before is not None:
        found.append(_table.c.ends_at < which.ending_before)
    if which.stuck is not None:
        found.append(_table.c.stuck.is_not(None) if which.stuck else _table.c.stuck.is_(None))
    if which.ids is not None:
        found.append(_table.c.id.in_(list(which.ids)))
    if which.live is not None:
        gone = State.RECLAIMED.value
        found.append(_table.c.state != gone if which.live else _table.c.state == gone)
    if which.beginning_after is not None:
        making = [State.REQUESTED.value, State.PROVISIONING.value]
        found += [_table.c.begins_at > which.beginning_after, _table.c.state.in_(making)]
    return found


def ids_live_at(tx: Tx, site: str) -> set[str]:
    """Ids of the site's accounts that are not shown gone."""
    states = sorted(state.value for state in LIVE)
    found = tx.execute(sa.select(_table.c.id).where(_table.c.site == site, _table.c.state.in_(states)))
    return set(found.scalars())
