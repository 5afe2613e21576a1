"""Places: counted in the transaction that takes one, so that 1,000 at once for 100 give exactly 100.

A place is free again when its account is shown gone, not when its time is over.
"""

from datetime import datetime, timedelta

from sqlalchemy import and_, bindparam, case, delete, func, literal, or_, select, tuple_, update

from orchestrator.lifecycle import calendar
from orchestrator.lifecycle.calendar import Stretch
from orchestrator.store import tables
from orchestrator.store.engine import Tx
from orchestrator.store.sites import ALWAYS, Places, places_of
from orchestrator.store.sql import insert_new
from orchestrator.store.sql import put as put_row

MOMENT = timedelta(microseconds=1)
_holds = tables.holds
_MINE = select(_holds).where(_holds.c.account == bindparam("of"))
_HERE = and_(_holds.c.site == bindparam("at_site"), _holds.c.offer == bindparam("of_offer"))
_OVERDUE = _holds.c.until <= bindparam("now")
_WITHIN = and_(_HERE, _holds.c.start < bindparam("end"), or_(_holds.c.until > bindparam("begin"), _OVERDUE),
               _holds.c.account != bindparam("apart_from"))
_MOST = select(func.count()).select_from(_holds).where(_WITHIN)
_END = case((_OVERDUE, literal(ALWAYS, _holds.c.until.type)), else_=_holds.c.until)
_HELD = (select(_holds.c.start, _END.label("until"), func.count().label("count")).where(_WITHIN)
         .group_by(_holds.c.start, _END))
_BEFORE_ME = select(func.count()).select_from(_holds).where(
    _HERE,
    tuple_(_holds.c.start, _holds.c.account) < tuple_(bindparam("begin", type_=_holds.c.start.type), bindparam("of")))
_PLACES = (select(tables.places).where(tables.places.c.site == bindparam("at_site"),
                                       tables.places.c.offer == bindparam("of_offer"))
           .order_by(tables.places.c.id))
_ALL_LOCKED = (select(tables.places.c.id).where(tables.places.c.offer == bindparam("of_offer"))
               .order_by(tables.places.c.id).with_for_update())
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


def lock(tx: Tx, offer: str) -> None:
    """All places of an offer, in one order for all: who may try several sites in an order of its own does so first, so
    that two of them never wait for each other (SQLite's writers queue anyway)."""
    if tx.get_bind().dialect.name != "sqlite":
        tx.execute(_ALL_LOCKED, {"of_offer": offer}).all()


def put(tx: Tx, account: str, site: str, offer: str, start: datetime, until: datetime) -> None:
    """Count an account that is there, whether or not there is a place for it: what is booked has to see it."""
    _locked(tx, site, offer)
    _write(tx, account, site, offer, start, until)


def move(tx: Tx, account: str, site: str, offer: str, start: datetime, until: datetime, now: datetime) -> bool:
    """Hold another place, or another time, instead of what the account holds now; False: it holds what it held."""
    places = _locked(tx, site, offer)
    if not _fits(tx, places, site, offer, start, until, now, apart_from=account):
        return False
    _write(tx, account, site, offer, start, until)
    return True


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
    taken = sum(one.count for one in held(tx, site, offer, at, at + MOMENT, at))
    return max(0, _places_at(places(tx, site, offer), at) - taken)


def its_turn(tx: Tx, account: str, now: datetime) -> bool:
    """Whether there is a place now for the account that holds one, with all who held one before it, overdue or not:
    an account that is not gone in time, or places that were taken away, may leave none."""
    row = tx.execute(_MINE, {"of": account}).first()
    if row is None:
        return False
    before: int = tx.execute(_BEFORE_ME, {"at_site": row.site, "of_offer": row.offer, "begin": row.start,
                                          "of": account}).scalar_one()
    return before < _places_at(places(tx, row.site, row.offer), now)


def places(tx: Tx, site: str, offer: str) -> list[Stretch]:
    """The places of an offer at a site, and when they are there."""
    return _stretches([places_of(row) for row in tx.execute(_PLACES, {"at_site": site, "of_offer": offer})])


def held(tx: Tx, site: str, offer: str, start: datetime, until: datetime, now: datetime,
         apart_from: str = "") -> list[Stretch]:
    """Who holds places there within [start, until); those overdue, who may hold them for ever, included."""
    rows = tx.execute(_HELD, {"at_site": site, "of_offer": offer, "begin": start, "end": until, "now": now,
                              "apart_from": apart_from})
    return [Stretch(row.start, row.until, row._mapping["count"]) for row in rows]


def _write(tx: Tx, account: str, site: str, offer: str, start: datetime, until: datetime) -> None:
    put_row(tx, _holds, {"account": account, "site": site, "offer": offer, "start": start, "until": until})


def _locked(tx: Tx, site: str, offer: str) -> list[Places]:
    """The places of an offer at a site, locked so that takers queue (SQLite's writers queue anyway)."""
    return [places_of(row) for row in tx.execute(_PLACES_LOCKED, {"at_site": site, "of_offer": offer})]


def _fits(tx: Tx, places: list[Places], site: str, offer: str, start: datetime, until: datetime, now: datetime,
          apart_from: str) -> bool:
    """Whether one more fits at every instant. Mostly there are fewer holds in all than places: one count says so."""
    there = _stretches(places)
    least = min(level for _, level in calendar.steps(there, (), start, until))
    most: int = tx.execute(_MOST, {"at_site": site, "of_offer": offer, "begin": start, "end": until, "now": now,
                                   "apart_from": apart_from}).scalar_one()
    if least < 1 or most < least:
        return least >= 1
    return calendar.fits(there, held(tx, site, offer, start, until, now, apart_from), start, until)


def _stretches(places: list[Places]) -> list[Stretch]:
    return [Stretch(place.from_, place.until, place.count) for place in places]


def _places_at(places: list[Stretch], at: datetime) -> int:
    return sum(place.count for place in places if place.start <= at < place.until)
