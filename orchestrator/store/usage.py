"""Readings of meters: one row for each account, meter and clock hour, that only ever grows.

Amount, coverage and end are each the greatest and the beginning the earliest that was ever said, so that readings may
come in any order and any number of times. What a site forgets in a fault is not forgotten here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, Executable, Row, and_, case, func, select
from sqlalchemy.dialects import postgresql, sqlite

from orchestrator.lifecycle.account import State
from orchestrator.lifecycle.usage import Measured, UsageRow, check, hour_of
from orchestrator.store import tables
from orchestrator.store.engine import Tx
from orchestrator.store.rows import AccountRecord, record_of

__all__ = ["Lower", "Measured", "UsageRow", "leases_in", "put", "read_until", "rows", "totals"]

_table = tables.usage
_MS = timedelta(milliseconds=1)
_TOGETHER = 500
"""Rows of one statement, accounts of one page."""


@dataclass(frozen=True, slots=True)
class Lower:
    """A site now says less of an hour than it has said before: `kept` stays."""

    meter: str
    hour: datetime
    kept: int
    said: int


def put(tx: Tx, account: str, intervals: Sequence[Measured], read_at: datetime) -> list[Lower]:
    """Keep what was read; twice is once, and no amount is ever lowered. ValueError for what cannot be a reading.

    Answers where the site says less than before although it claims to have measured as much: for the journal.
    """
    for measured in intervals:
        check(measured)
    said = [{"account": account, "meter": meter, "hour": hour_of(one.since), "amount": amount, "since": one.since,
             "until": one.until, "covered_ms": one.covered // _MS, "read_at": read_at}
            for one in intervals if one.until > one.since for meter, amount in sorted(one.amounts.items())]
    lower = _lower(tx, account, said)
    upsert = _upsert(tx.get_bind().dialect.name)
    for start in range(0, len(said), _TOGETHER):
        tx.execute(upsert, said[start:start + _TOGETHER])
    return lower


def _lower(tx: Tx, account: str, said: Sequence[dict[str, Any]]) -> list[Lower]:
    if not said:
        return []
    hours = [one["hour"] for one in said]
    known = {(row.meter, row.hour): row for row in tx.execute(
        select(_table).where(_table.c.account == account, _table.c.hour >= min(hours), _table.c.hour <= max(hours)))}
    pairs = ((one, known.get((one["meter"], one["hour"]))) for one in said)
    return [Lower(one["meter"], one["hour"], row.amount, one["amount"]) for one, row in pairs
            if row is not None and one["amount"] < row.amount and one["covered_ms"] >= row.covered_ms]


@cache
def _upsert(dialect: str) -> Executable:
    statement = sqlite.insert(_table) if dialect == "sqlite" else postgresql.insert(_table)
    new = statement.excluded

    def greatest(name: str) -> ColumnElement[Any]:
        return case((new[name] > _table.c[name], new[name]), else_=_table.c[name])

    changes = {name: greatest(name) for name in ("amount", "until", "covered_ms", "read_at")}
    changes["since"] = case((new.since < _table.c.since, new.since), else_=_table.c.since)
    return statement.on_conflict_do_update(index_elements=["account", "meter", "hour"], set_=changes)


def rows(tx: Tx, account: str, since: datetime, until: datetime) -> list[UsageRow]:
    """The account's rows of the clock hours that begin within [since, until), by hour and meter."""
    found = tx.execute(select(_table).where(_table.c.account == account, _table.c.hour >= since,
                                            _table.c.hour < until).order_by(_table.c.hour, _table.c.meter))
    return [_row(row) for row in found]


def totals(tx: Tx, account: str) -> dict[str, int]:
    """All that was ever measured, by meter. Python's sums: a year of byte-seconds is beyond 64 bits."""
    sums: dict[str, int] = {}
    for row in tx.execute(select(_table.c.meter, _table.c.amount).where(_table.c.account == account)):
        sums[row.meter] = sums.get(row.meter, 0) + row.amount
    return dict(sorted(sums.items()))


def read_until(tx: Tx, account: str, now: datetime | None = None) -> datetime | None:
    """How far the account has been read; None when never. With `now`, apart from what a clock that was ahead has said
    of times yet to come."""
    query = select(func.max(_table.c.until)).where(_table.c.account == account)
    return tx.execute(query if now is None else query.where(_table.c.until <= now)).scalar()


def leases_in(tx: Tx, since: datetime, until: datetime, *, site: str | None = None, account: str | None = None,
              after: str = "", limit: int = _TOGETHER) -> list[AccountRecord]:
    """Accounts that were at a site at some time within [since, until), by id after the last of the page before."""
    of = tables.accounts.c
    gone = and_(of.state == State.RECLAIMED.value, of.since < since)
    query = select(tables.accounts).where(of.starts_at < until, ~gone, of.id > after).order_by(of.id).limit(limit)
    if site is not None:
        query = query.where(of.site == site)
    if account is not None:
        query = query.where(of.id == account)
    return [record_of(row) for row in tx.execute(query)]


def _row(row: Row[Any]) -> UsageRow:
    return UsageRow(row.account, row.meter, row.hour, row.amount, row.since, row.until, row.covered_ms * _MS,
                    row.read_at)
