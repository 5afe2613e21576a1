"""Places: counted in the transaction that takes one, so that 1,000 at once for 100 give exactly 100.

A place is free again when its account is shown gone, not when its time is over.
"""

from datetime import datetime

from sqlalchemy import and_, bindparam, delete, func, or_, select, update

from orchestrator.store import tables
from orchestrator.store.engine import Tx
from orchestrator.store.sites import Places, places_of
from orchestrator.store.sql import insert_new

_holds = tables.holds
_MINE = select(_holds).where(_holds.c.account == bindparam("of"))
_HERE = and_(_holds.c.site == bindparam("at_site"), _holds.c.offer == bindparam("of_offer"))
_LATER = select(_holds.c.start).distinct().where(
    _HERE, _holds.c.start > bindparam("begin"), _holds.c.start < bindparam("end"))
_HELD = select(func.count()).select_from(_holds).where(
    _HERE, _holds.c.start <= bindparam("at"), or_(_holds.c.until > bindparam("at"), _holds.c.until <= bindparam("now")),
    _holds.c.account != bindparam("apart_from"))
_PLACES = (select(tables.places).where(tables.places.c.site == bindparam("at_site"),
                                       tables.places.c.offer == bindparam("of_offer"))
           .order_by(tables.places.c.id))
_PLACES_LOCKED = _PLACES.with_for_update()


def hold(tx: Tx, account: str, site: str, offer: str, start: datetime, until: datetime,
         now: datetime | None = None) -> bool:
    """Hold one place for [start, until). False when at some instant of it all places are held. Twice is once.

    `now` (otherwise `start`) tells which holds are overdue: those count until they are released.
    """
    places = _locked(tx, site, offer)
    if tx.execute(_MINE, {"of": account}).first() is not None:
        return True
    if not _fits(tx, places, site, offer, start, until, now or start, apart_from=account):
        return False
    return insert_new(tx, _holds, {"account": account, "site": site, "offer": offer, "start": start, "until": until})


def extend(tx: Tx, account: str, until: datetime, now: datetime) -> bool:
    """Hold the same place for longer (or shorter). False when others have it by then; the hold stays as it was."""
    row = tx.execute(_MINE, {"of": account}).first()
    if row is None:
        return False
    places = _locked(tx, row.site, row.offer)
    start = max(row.start, now)
    if until > row.until and not _fits(tx, places, row.site, row.offer, start, until, now, apart_from=account):
        return False
    tx.execute(update(_holds).where(_holds.c.account == account).values(until=until))
    return True


def release(tx: Tx, account: str) -> None:
    """The account is shown gone: its place is free. Already released is success."""
    tx.execute(delete(_holds).where(_holds.c.account == account))


def free(tx: Tx, site: str, offer: str, at: datetime) -> int:
    """How many places nobody holds at this instant; never negative, though places may have been taken away."""
    places = [places_of(row) for row in tx.execute(_PLACES, {"at_site": site, "of_offer": offer})]
    return max(0, _places_at(places, at) - _held_at(tx, site, offer, at, at, ""))


def _locked(tx: Tx, site: str, offer: str) -> list[Places]:
    """The places of an offer at a site, locked so that takers queue (SQLite's writers queue anyway)."""
    return [places_of(row) for row in tx.execute(_PLACES_LOCKED, {"at_site": site, "of_offer": offer})]


def _fits(tx: Tx, places: list[Places], site: str, offer: str, start: datetime, until: datetime, now: datetime,
          apart_from: str) -> bool:
    """Whether one more fits at every instant: places change at their own edges, holds grow only where one starts."""
    edges = {edge for place in places for edge in (place.from_, place.until)}
    later = tx.execute(_LATER, {"at_site": site, "of_offer": offer, "begin": start, "end": until}).scalars()
    instants = {start} | {at for at in edges | set(later) if start < at < until}
    return all(_held_at(tx, site, offer, at, now, apart_from) < _places_at(places, at) for at in sorted(instants))


def _places_at(places: list[Places], at: datetime) -> int:
    return sum(place.count for place in places if place.from_ <= at < place.until)


def _held_at(tx: Tx, site: str, offer: str, at: datetime, now: datetime, apart_from: str) -> int:
    """Holds that cover the instant, those overdue included; one account's own can be left out."""
    found: int = tx.execute(_HELD, {"at_site": site, "of_offer": offer, "at": at, "now": now,
                                    "apart_from": apart_from}).scalar_one()
    return found
