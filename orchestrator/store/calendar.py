"""The calendar: of each day, how many places there are, are taken and are booked ahead, at the day's fullest moment."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta, tzinfo

from orchestrator.lifecycle.calendar import Stretch, fullest
from orchestrator.lifecycle.errors import RuleError
from orchestrator.store import capacity, sites
from orchestrator.store.engine import Tx
from orchestrator.store.sites import ALWAYS

MOST_DAYS = 400


@dataclass(frozen=True, slots=True)
class Day:
    """One civil day of an offer at a site. Where nothing was taken away from under those who hold it, `places` are
    `taken`, `booked` and `free` together."""

    site: str
    offer: str
    day: date
    places: int
    taken: int
    """By accounts that hold their place today, for as long as they do; those overdue for ever."""
    booked: int
    """By accounts whose time is yet to come."""
    free: int
    """For the whole of the day."""
    coming: int
    """Applied, and not yet online that day."""


def calendar(tx: Tx, site: str, offer: str, first: date, days: int, now: datetime, where: tzinfo) -> list[Day]:
    """So many days from the first on, each from midnight to midnight of that zone; today's from now on.
    RuleError `bad_time` for days that no calendar of ours has."""
    if not 1970 < first.year < ALWAYS.year or not 0 < days <= MOST_DAYS:
        raise RuleError("bad_time", f"{days} days from {first} on: at most {MOST_DAYS}, between 1971 and 2998")
    edges = [_midnight(first + timedelta(days=nth), where) for nth in range(days + 1)]
    places = capacity.places(tx, site, offer)
    held = capacity.held(tx, site, offer, edges[0], edges[-1], now)
    return [Day(site, offer, first + timedelta(days=nth), *_counts(places, held, start, until, now))
            for nth, (start, until) in enumerate(zip(edges, edges[1:], strict=False))]


def offered(tx: Tx, site: str | None = None, offer: str | None = None) -> list[tuple[str, str]]:
    """Which sites give places to which offers, by name."""
    return sorted({(place.site, place.offer) for place in sites.list_places(tx, site, offer)})


def _midnight(day: date, where: tzinfo) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=where)


def _counts(places: list[Stretch], held: list[Stretch], start: datetime, until: datetime,
            now: datetime) -> tuple[int, int, int, int, int]:
    at = fullest(places, held, now if start <= now < until else start, until)
    there = _at(places, at)
    taken = _at((one for one in held if one.start <= now), at)
    booked = _at((one for one in held if one.start > now), at)
    coming = sum(one.count for one in places if one.start >= until)
    return there, taken, booked, max(0, there - taken - booked), coming


def _at(stretches: Iterable[Stretch], at: datetime) -> int:
    return sum(one.count for one in stretches if one.start <= at < one.until)
