"""Rounds that are made at every site now and then, by whichever worker comes first."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from sqlalchemy import select

from orchestrator.store import tables
from orchestrator.store.engine import Tx
from orchestrator.store.sql import insert_new, put

_table = tables.meter_rounds


def due(tx: Tx, kinds: Mapping[str, timedelta], now: datetime) -> list[tuple[str, str]]:
    """Site and kind of the rounds that are due. A site never visited is due at once; one put off beyond its kind's
    time, for instance by a clock that was set back, no longer waits for that."""
    known = {(row.site, row.what): row.due_at for row in tx.execute(select(_table))}
    names = tx.execute(select(tables.sites.c.name).order_by(tables.sites.c.order, tables.sites.c.name)).scalars()
    return [(site, what) for site in names for what, every in kinds.items()
            if (at := known.get((site, what))) is None or not now < at <= now + every]


def claim(tx: Tx, kinds: Mapping[str, timedelta], now: datetime, lease: timedelta) -> list[tuple[str, str]]:
    """Those that are due, for this worker alone: to others they are due again after the lease."""
    taken = []
    for site, what in due(tx, kinds, now):
        values = {"site": site, "what": what, "due_at": now + min(lease, kinds[what])}
        if insert_new(tx, _table, values) or _still_due(tx, site, what, kinds, now):
            put(tx, _table, values)
            taken.append((site, what))
    return taken


def again(tx: Tx, site: str, what: str, at: datetime) -> None:
    """The round is over; the next is due then."""
    put(tx, _table, {"site": site, "what": what, "due_at": at})


def _still_due(tx: Tx, site: str, what: str, kinds: Mapping[str, timedelta], now: datetime) -> bool:
    """Locked, so that of two workers one sees what the other has taken."""
    at = tx.execute(select(_table.c.due_at).where(_table.c.site == site, _table.c.what == what)
                    .with_for_update()).scalar_one()
    return not now < at <= now + kinds[what]
