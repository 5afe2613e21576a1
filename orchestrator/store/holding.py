"""Holds keep reclaims off: one account's own, its site's, and everything's. Each is let go by itself."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import sqlalchemy as sa

from orchestrator.lifecycle.account import State
from orchestrator.store import tables
from orchestrator.store.engine import Tx
from orchestrator.store.errors import NotFound
from orchestrator.store.rows import account_of, due_columns, paused_of
from orchestrator.store.sql import insert_new

EVERYTHING = "all"
_table, _sites, _brakes = tables.accounts, tables.sites, tables.brakes


@dataclass(frozen=True, slots=True)
class Set:
    """What setting a hold, or letting it go, came upon."""

    accounts: Sequence[str]
    """Ids of the live accounts concerned."""
    before: bool
    """Whether this very hold was on."""


@dataclass(frozen=True, slots=True)
class Kept:
    """Accounts of one site that would have been reclaimed by now but for these holds."""

    site: str
    own: bool
    of_site: bool
    of_all: bool
    count: int
    since: datetime


def everything(tx: Tx) -> bool:
    """Whether everything is held."""
    return tx.execute(sa.select(_brakes.c.name).where(_brakes.c.name == EVERYTHING)).first() is not None


def put(tx: Tx, on: bool, *, account: str | None = None, site: str | None = None) -> Set:
    """Hold (or let go) one account, a site with its present and coming accounts, or with neither everything.

    The other two holds stay as they are. NotFound: no such live account.
    """
    if account is not None:
        which, column, before = _table.c.id == account, "hold", False
    elif site is not None:
        before = bool(tx.execute(sa.select(_sites.c.held).where(_sites.c.name == site)).scalar())
        tx.execute(sa.update(_sites).where(_sites.c.name == site).values(held=on))
        which, column = _table.c.site == site, "site_hold"
    else:
        before = everything(tx)
        if on:
            insert_new(tx, _brakes, {"name": EVERYTHING})
        else:
            tx.execute(sa.delete(_brakes).where(_brakes.c.name == EVERYTHING))
        which, column = sa.true(), "all_hold"
    rows = tx.execute(sa.select(_table).where(which, _table.c.state != State.RECLAIMED.value)
                      .order_by(_table.c.id).with_for_update()).all()
    if account is not None:
        if not rows:
            raise NotFound(f"there is no live account {account!r}")
        before = rows[0].hold
    for row in rows:
        others = {"hold": row.hold, "site_hold": row.site_hold, "all_hold": row.all_hold} | {column: on}
        changed = replace(account_of(row), hold=any(others.values()))
        tx.execute(sa.update(_table).where(_table.c.id == row.id).values(
            {column: on} | due_columns(changed, paused_of(row), row.claimed_until)))
    return Set([row.id for row in rows], before)


def of(tx: Tx, ids: Collection[str]) -> Mapping[str, Sequence[str]]:
    """By account, what each that is held is held by, as `tenure hold` names it: its id, its site, `all`."""
    rows = tx.execute(sa.select(_table.c.id, _table.c.site, _table.c.hold, _table.c.site_hold, _table.c.all_hold)
                      .where(_table.c.id.in_(list(ids)), sa.or_(_table.c.hold, _table.c.site_hold, _table.c.all_hold)))
    return {id: [name for name, on in ((id, own), (site, of_site), (EVERYTHING, of_all)) if on]
            for id, site, own, of_site, of_all in rows}


def kept(tx: Tx, now: datetime) -> list[Kept]:
    """What holds alone keep by now, by site and by which holds they are; answered by one index."""
    marks = (_table.c.hold, _table.c.site_hold, _table.c.all_hold)
    rows = tx.execute(sa.select(_table.c.site, *marks, sa.func.count(), sa.func.min(_table.c.kept_from))
                      .where(_table.c.kept_from <= now).group_by(_table.c.site, *marks).order_by(_table.c.site))
    return [Kept(*row) for row in rows]
