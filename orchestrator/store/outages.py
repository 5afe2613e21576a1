"""Outages of sites, and what each meant for each account: one row, once."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, func, or_, select, update

from orchestrator.lifecycle.outage import Outage, Outcome, Span, clip, length
from orchestrator.store import tables
from orchestrator.store.engine import Tx
from orchestrator.store.rows import AccountRecord, record_of
from orchestrator.store.sql import insert_new, put

__all__ = ["Credit", "Outage", "Outcome", "add", "concerned", "credit", "credited_seconds", "credits_of", "get",
           "last_said_by", "list_", "made_good", "settle", "unsettled"]

_table, _credits = tables.outages, tables.credits
_GIVEN = frozenset({Outcome.EXTENDED, Outcome.LIMITED, Outcome.BILL})
_SECOND = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Credit:
    """`seconds` by which the account's end was moved, or that its contract's bill leaves out."""

    account: str
    outage: str
    seconds: int
    outcome: Outcome
    at: datetime


def add(tx: Tx, outage: Outage) -> bool:
    """A new outage; False when it is known."""
    return insert_new(tx, _table, asdict(outage))


def get(tx: Tx, id: str) -> Outage | None:
    """The outage, or None."""
    row = tx.execute(select(_table).where(_table.c.id == id)).first()
    return None if row is None else _outage(row)


def list_(tx: Tx, site: str | None = None, limit: int = 1000) -> list[Outage]:
    """Newest first."""
    query = select(_table).order_by(_table.c.since.desc(), _table.c.id).limit(limit)
    if site is not None:
        query = query.where(_table.c.site == site)
    return [_outage(row) for row in tx.execute(query)]


def unsettled(tx: Tx, site: str) -> list[Outage]:
    """Those of the site that some account may still be owed for, oldest first."""
    query = select(_table).where(_table.c.site == site, _table.c.settled_at.is_(None))
    return [_outage(row) for row in tx.execute(query.order_by(_table.c.since, _table.c.id))]


def last_said_by(tx: Tx, site: str, said_by: str) -> datetime | None:
    """The end of the last outage that this one told of; None when there is none."""
    return tx.execute(select(func.max(_table.c.until)).where(
        _table.c.site == site, _table.c.said_by == said_by)).scalar()


def concerned(tx: Tx, outage: Outage, after: str = "", limit: int = 500) -> list[AccountRecord]:
    """Accounts whose lease the outage may have touched and whose outcome is still open, by id."""
    of, decided = tables.accounts.c, _credits.c
    final = select(decided.account).where(decided.outage == outage.id, decided.outcome != Outcome.NO_PLACE.value)
    query = select(tables.accounts).where(
        of.site == outage.site, of.id > after, of.starts_at < outage.until, of.ends_at > outage.since,
        or_(of.fenced_at.is_(None), of.fenced_at > outage.since), of.id.not_in(final))
    return [record_of(row) for row in tx.execute(query.order_by(of.id).limit(limit))]


def settle(tx: Tx, id: str, at: datetime) -> None:
    """Every account has its outcome."""
    tx.execute(update(_table).where(_table.c.id == id, _table.c.settled_at.is_(None)).values(settled_at=at))


def credit(tx: Tx, given: Credit) -> bool:
    """What the outage meant for the account, once: False when that was decided. Only `no_place` may be decided anew."""
    values = asdict(given) | {"outcome": given.outcome.value}
    if insert_new(tx, _credits, values):
        return True
    there = tx.execute(select(_credits.c.outcome).where(
        _credits.c.account == given.account, _credits.c.outage == given.outage).with_for_update()).scalar_one()
    if there != Outcome.NO_PLACE.value or given.outcome is Outcome.NO_PLACE:
        return False
    put(tx, _credits, values)
    return True


def credits_of(tx: Tx, account: str | None = None, outage: str | None = None) -> list[Credit]:
    """Credits of an account or of an outage, by time."""
    query = select(_credits).order_by(_credits.c.at, _credits.c.account, _credits.c.outage)
    if account is not None:
        query = query.where(_credits.c.account == account)
    if outage is not None:
        query = query.where(_credits.c.outage == outage)
    return [Credit(row.account, row.outage, row.seconds, Outcome(row.outcome), row.at) for row in tx.execute(query)]


def made_good(tx: Tx, account: str, outcomes: Iterable[Outcome] = _GIVEN) -> list[Span]:
    """Spans of the outages that this account has been given something for."""
    query = select(_table.c.since, _table.c.until).join(_credits, _credits.c.outage == _table.c.id).where(
        _credits.c.account == account, _credits.c.outcome.in_([one.value for one in outcomes]))
    return [(row.since, row.until) for row in tx.execute(query)]


def credited_seconds(tx: Tx, account: str, since: datetime, until: datetime) -> int:
    """Seconds of [since, until) that a contract's bill does not count, since the site was out. What lies in several
    outages counts once; parts of a second are the holder's."""
    spans = clip(made_good(tx, account, [Outcome.BILL]), since, until)
    return -(-length(spans) // _SECOND)


def _outage(row: Row[Any]) -> Outage:
    return Outage(**dict(row._mapping))
