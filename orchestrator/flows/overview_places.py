"""Places by site, offer and day: how many there are, are taken and are booked ahead, and what is not online yet."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo

from orchestrator.store import overview as store
from orchestrator.store import sites
from orchestrator.store.engine import Tx
from orchestrator.store.overview import Held
from orchestrator.store.sites import Places

DAYS = 14


@dataclass(frozen=True, slots=True)
class DayPlaces:
    """Places of an offer at a site at one instant: how many there are, are taken (and by bookings ahead), are free."""

    at: datetime
    count: int
    taken: int
    booked: int
    free: int


@dataclass(frozen=True, slots=True)
class OfferPlaces:
    """`days` begins with now and goes on at noon of each following day. `overdue` places should be free by now."""

    offer: str
    overdue: int
    days: Sequence[DayPlaces]

    @property
    def now(self) -> DayPlaces:
        return self.days[0]


@dataclass(frozen=True, slots=True)
class Coming:
    """Places that are not online yet."""

    site: str
    offer: str
    count: int
    at: datetime


def look_at_places(tx: Tx, now: datetime, where: tzinfo) -> tuple[Mapping[str, Sequence[OfferPlaces]], list[Coming]]:
    """Of each site; and what comes online later, soonest first."""
    instants, known = noons(now, where), sites.list_places(tx)
    held = store.held(tx, instants)
    by_site = {name: _places([one for one in known if one.site == name], [one for one in held if one.site == name],
                             instants) for name in {one.site for one in known} | {one.site for one in held}}
    return by_site, sorted((Coming(one.site, one.offer, one.count, one.from_) for one in known if one.from_ > now),
                           key=lambda one: (one.at, one.site, one.offer))


def noons(now: datetime, where: tzinfo) -> list[datetime]:
    """Now, then noon of each of the following days."""
    return [now, *(civil(now, where, nth, 12) for nth in range(1, DAYS))]


def civil(now: datetime, where: tzinfo, days: int, hour: int) -> datetime:
    """So many days on, at this hour of the zone's own clock, summer time or not."""
    today = now.astimezone(where).replace(tzinfo=None, hour=hour, minute=0, second=0, microsecond=0)
    return (today + timedelta(days=days)).replace(tzinfo=where).astimezone(UTC)


def _places(places: Sequence[Places], held: Sequence[Held], instants: Sequence[datetime]) -> list[OfferPlaces]:
    found = []
    for offer in sorted({one.offer for one in places} | {one.offer for one in held}):
        there, taken = [one for one in places if one.offer == offer], [one for one in held if one.offer == offer]
        found.append(OfferPlaces(offer, sum(one.count for one in taken if one.overdue),
                                 [_day(there, taken, nth, at) for nth, at in enumerate(instants)]))
    return found


def _day(places: Sequence[Places], held: Sequence[Held], nth: int, at: datetime) -> DayPlaces:
    count = sum(one.count for one in places if one.from_ <= at < one.until)
    here = [one for one in held if one.first <= nth < one.last]
    taken = sum(one.count for one in here)
    return DayPlaces(at, count, taken, sum(one.count for one in here if one.booked), max(0, count - taken))
