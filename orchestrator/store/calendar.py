"""The calendar: of each day, how many places there are, are taken and are booked ahead, at the day's fullest moment.

It is counted without reading who holds what: holds at the first instant of each day, in one walk over one index. Only
where a hold begins, or places end, within a day can the day be fuller later; only then is that day read hold by hold.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, tzinfo
from functools import lru_cache
from itertools import accumulate
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, bindparam, case, func, literal, or_, select, tuple_

from orchestrator.lifecycle import times
from orchestrator.lifecycle.calendar import Stretch, fullest
from orchestrator.lifecycle.errors import RuleError
from orchestrator.lifecycle.outage import union
from orchestrator.store import sites, tables
from orchestrator.store.engine import Tx
from orchestrator.store.sites import ALWAYS, SINCE_EVER

MOST_DAYS = 400
_holds = tables.holds

Pair = tuple[str, str]
"""A site and an offer."""
Span = tuple[datetime, datetime]


@dataclass(frozen=True, slots=True)
class Day:
    """One civil day of an offer at a site. Where nothing was taken away from under those who hold it, `places` are
    `taken`, `booked` and `free` together."""

    site: str
    offer: str
    day: date
    at: datetime
    """Its fullest moment, the first one if there are several: what is counted is counted then."""
    places: int
    taken: int
    """By accounts that hold their place today, for as long as they do; those overdue for ever."""
    booked: int
    """By accounts whose time is yet to come."""
    free: int
    """For the whole of the day."""
    coming: int
    """Applied, and not yet online at that moment."""

    @property
    def held(self) -> int:
        """Taken and booked together."""
        return self.taken + self.booked


@dataclass(frozen=True, slots=True)
class OfferPlaces:
    """An offer at a site, day by day. `overdue` of the places taken should be free by now."""

    site: str
    offer: str
    overdue: int
    days: Sequence[Day]

    @property
    def today(self) -> Day:
        """The first of them, where they begin with today."""
        return self.days[0]


def days(tx: Tx, first: date, count: int, now: datetime, where: tzinfo, site: str | None = None,
         offer: str | None = None) -> list[OfferPlaces]:
    """So many days from the first on, each from midnight to midnight of that zone, today's from now on: of every site
    and offer with places, or with somebody who holds one, by name. RuleError `bad_time` for days that no calendar of
    ours has."""
    if not 1970 < first.year < ALWAYS.year or not 0 < count <= MOST_DAYS:
        raise RuleError("bad_time", f"{count} days from {first} on: at most {MOST_DAYS}, between 1971 and 2998")
    spans = _spans(first, count, now, where)
    places = defaultdict[Pair, list[Stretch]](list)
    for one in sites.list_places(tx, site, offer):
        places[one.site, one.offer].append(Stretch(one.from_, one.until, one.count))
    held = _held_by_day(tx, spans, now, site, offer)
    pairs = sorted(places.keys() | held.keys())
    moving = _moving(tx, {pair: held[pair].uneven | _ending(places[pair], spans) for pair in pairs}, spans, now)
    return [OfferPlaces(*pair, held[pair].overdue, [
        _day(pair, first + timedelta(days=nth), span, places[pair], held[pair].stretches(nth, span, now),
             moving[pair, nth], now) for nth, span in enumerate(spans)]) for pair in pairs]


def _spans(first: date, count: int, now: datetime, where: tzinfo) -> list[Span]:
    edges = [times.midnight(first + timedelta(days=nth), where) for nth in range(count + 1)]
    return [(now if start <= now < until else start, until) for start, until in zip(edges, edges[1:], strict=False)]


def _ending(places: Iterable[Stretch], spans: Sequence[Span]) -> set[int]:
    """The days within which places end."""
    return _days(spans, *(one.until for one in places))


def _days(spans: Sequence[Span], *instants: datetime) -> set[int]:
    """The days that have one of these in them, later than their first instant."""
    nearest = [(bisect_left(spans, at, key=lambda span: span[0]) - 1, at) for at in instants]
    return {nth for nth, at in nearest if nth >= 0 and at < spans[nth][1]}


@dataclass(slots=True)
class _Held:
    """How many places of a pair are held at the first instant of each day, and the days within which a hold begins (or
    at whose end: those are few)."""

    taken: list[int]
    booked: list[int]
    overdue: int = 0
    uneven: set[int] = field(default_factory=set)

    def stretches(self, nth: int, span: Span, now: datetime) -> list[Stretch]:
        """They as if they were held for the whole day."""
        start, until = span
        return [Stretch(min(start, now), until, self.taken[nth]), Stretch(start, until, self.booked[nth])]


def _held_by_day(tx: Tx, spans: Sequence[Span], now: datetime, site: str | None,
                 offer: str | None) -> defaultdict[Pair, _Held]:
    """Now is one edge among the days' first instants: what begins after it is booked, what is over by it overdue."""
    edges = sorted({now, *(start for start, _ in spans)})
    asked = {f"e{nth}": edge for nth, edge in enumerate(edges)} | {"end": spans[-1][1]} | {
        name: value for name, value in (("site", site), ("offer", offer)) if value is not None}
    today = edges.index(now)
    day_at = {edges.index(start): nth for nth, (start, _) in enumerate(spans)}
    found = defaultdict[Pair, _Held](lambda: _Held([0] * (len(edges) + 1), [0] * (len(edges) + 1)))
    for row in tx.execute(_walk(len(edges), site is not None, offer is not None), asked):
        one, overdue = found[row.site, row.offer], row.last <= today
        changes = one.booked if row.first > today else one.taken
        changes[row.first] += row.many
        changes[len(edges) if overdue else row.last] -= row.many
        one.overdue += row.many if overdue else 0
        if row.first - 1 in day_at:
            one.uneven.add(day_at[row.first - 1])
    for one in found.values():
        taken, booked = list(accumulate(one.taken)), list(accumulate(one.booked))
        one.taken, one.booked = [taken[at] for at in day_at], [booked[at] for at in day_at]
    found.default_factory = lambda: _Held([0] * len(spans), [0] * len(spans))
    return found


@lru_cache(maxsize=8)
def _walk(edges: int, of_site: bool, of_offer: bool) -> Select[Any]:
    """How many holds are there from the `first` edge that they have begun by to the `last`, by which they are over."""
    at = [bindparam(f"e{nth}", type_=_holds.c.start.type) for nth in range(edges)]
    first = case(*((_holds.c.start <= one, nth) for nth, one in enumerate(at)), else_=edges)
    last = case(*((_holds.c.until <= one, nth) for nth, one in enumerate(at)), else_=edges)
    which = [_holds.c.start < bindparam("end"), *([_holds.c.site == bindparam("site")] if of_site else []),
             *([_holds.c.offer == bindparam("offer")] if of_offer else [])]
    each = select(_holds.c.site, _holds.c.offer, first.label("first"), last.label("last")).where(*which).subquery()
    return (select(each.c.site, each.c.offer, each.c.first, each.c.last, func.count().label("many"))
            .group_by(each.c.site, each.c.offer, each.c.first, each.c.last))


def _moving(tx: Tx, uneven: Mapping[Pair, Collection[int]], spans: Sequence[Span],
            now: datetime) -> defaultdict[tuple[Pair, int], list[Stretch]]:
    """Of these pairs, the holds that begin or end within one of these days, by pair and day."""
    found = defaultdict[tuple[Pair, int], list[Stretch]](list)
    pairs, days = sorted(pair for pair, of_pair in uneven.items() if of_pair), set[int]().union(*uneven.values())
    if not days:
        return found
    for row in tx.execute(_beginning_or_ending(pairs, union(spans[nth] for nth in days), spans[0][0], now)):
        one = Stretch(row.start, row.until, row.many)
        for nth in _days(spans, one.start, one.until):
            found[(row.site, row.offer), nth].append(one)
    return found


def _beginning_or_ending(pairs: Sequence[Pair], spans: Sequence[Span], first: datetime, now: datetime) -> Select[Any]:
    """Instants that no day asks about, before the `first` and after the last of these spans, are not told apart."""
    start, until = _holds.c.start, _holds.c.until
    begun = case((start <= min(first, now), literal(SINCE_EVER, start.type)), else_=start).label("start")
    over = case((or_(until <= now, until >= spans[-1][1]), literal(ALWAYS, until.type)), else_=until).label("until")
    each = select(_holds.c.site, _holds.c.offer, begun, over).where(
        tuple_(_holds.c.site, _holds.c.offer).in_(pairs),
        or_(*(or_(_in(start, *span), and_(until > now, _in(until, *span))) for span in spans))).subquery()
    return (select(each.c.site, each.c.offer, each.c.start, each.c.until, func.count().label("many"))
            .group_by(each.c.site, each.c.offer, each.c.start, each.c.until))


def _in(column: ColumnElement[datetime], span_start: datetime, span_end: datetime) -> ColumnElement[bool]:
    return and_(column > span_start, column < span_end)


def _day(pair: Pair, day: date, span: Span, places: list[Stretch], held: list[Stretch], moving: list[Stretch],
         now: datetime) -> Day:
    """`held` are those at the first instant; those of them that end within the day are `moving`, too."""
    start, until = span
    gone = [Stretch(one.start, until, -one.count) for one in moving if one.start <= start]
    held = [*held, *gone, *moving]
    at = fullest(places, held, start, until)
    there = _at(places, at)
    taken = _at((one for one in held if one.start <= now), at)
    booked = _at((one for one in held if one.start > now), at)
    return Day(*pair, day, at, there, taken, booked, max(0, there - taken - booked),
               sum(one.count for one in places if one.start > at))


def _at(stretches: Iterable[Stretch], at: datetime) -> int:
    return sum(one.count for one in stretches if one.start <= at < one.until)
