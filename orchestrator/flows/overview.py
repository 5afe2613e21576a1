"""How things stand, for whoever watches: one model, made by one function, shown on the terminal and on a page.

What needs a person comes first, each with the next command to type. Ids and names of ours only, no personal data.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from enum import StrEnum

from orchestrator.flows.context import Context
from orchestrator.flows.overview_alarms import Alarm, alarms
from orchestrator.flows.overview_fences import Fences, fences_of
from orchestrator.lifecycle import times
from orchestrator.lifecycle.account import State
from orchestrator.lifecycle.due import Owed
from orchestrator.store import overview as store
from orchestrator.store import sites
from orchestrator.store.engine import Tx
from orchestrator.store.overview import Held, Standing, Unsent, Waiting
from orchestrator.store.sites import Places, SiteRow

HOURS, DAYS = 24, 14
SETTLING = timedelta(seconds=5)
"""An end is fenced within less; what takes longer is shown."""
FENCES_SINCE = timedelta(days=7)
MOST_ENDS, MOST_UNFENCED, MOST_STUCK, MOST_FENCES, MOST_SENDERS = 12, 200, 1000, 2000, 10


class Level(StrEnum):
    """The one word above everything."""

    CALM = "calm"
    WORKING = "working"
    """Something does not work and Tenure goes on trying."""
    NEEDS_YOU = "needs_you"


@dataclass(frozen=True, slots=True)
class Piece:
    """The accounts whose end lies within [at, until)."""

    at: datetime
    until: datetime
    count: int
    by_state: Mapping[State, int]
    by_site: Mapping[str, int]


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


@dataclass(frozen=True, slots=True)
class SiteView:
    """One site: what is there, what ends there soon, what does not work."""

    name: str
    kind: str
    tier: str
    drained: bool
    held: bool
    live: Mapping[State, int]
    ending: int
    """Within the next 24 hours."""
    stuck: int
    unfenced: int
    places: Sequence[OfferPlaces]


@dataclass(frozen=True, slots=True)
class Overview:
    """Everything. Lists are bounded; the counts beside them are not."""

    at: datetime
    level: Level
    alarms: Sequence[Alarm]
    sites: Sequence[SiteView]
    hours: Sequence[Piece]
    days: Sequence[Piece]
    next_ends: Sequence[Standing]
    fences: Fences
    stuck: int
    unfenced: int
    waiting: Mapping[Owed, Waiting]
    unsent: int
    senders: Sequence[Unsent]
    coming: Sequence[Coming]

    @property
    def live(self) -> dict[State, int]:
        """Accounts by state, of all sites."""
        states = [state for state in State if state is not State.RECLAIMED]
        return {state: sum(site.live.get(state, 0) for site in self.sites) for state in states}


def overview(ctx: Context) -> Overview:
    """How things stand now, from one consistent look at the store."""
    with ctx.store.read() as tx:
        return look(tx, ctx.clock(), times.zone(ctx.settings.timezone))


def look(tx: Tx, now: datetime, where: tzinfo) -> Overview:
    """The same, in a transaction that is there already; days begin where the zone has midnight."""
    rows = sites.list_(tx)
    hours = _pieces(tx, hour_edges(now, where))
    stuck, late = store.stuck(tx, MOST_STUCK), store.unfenced(tx, now - SETTLING, MOST_UNFENCED)
    waiting, (unsent, senders) = store.waiting(tx, now), store.unsent(tx, now, MOST_SENDERS)
    fences = fences_of(store.fences(tx, now - FENCES_SINCE, MOST_FENCES))
    places = sites.list_places(tx)
    found = alarms(now, late[0], late[1], stuck[1], waiting, senders)
    level = (Level.NEEDS_YOU if any(one.who == "operator" for one in found)
             else Level.WORKING if found else Level.CALM)
    return Overview(
        at=now, level=level, alarms=found,
        sites=_sites(tx, now, where, rows, places, hours, stuck[0], late[0]),
        hours=hours, days=_pieces(tx, day_edges(now, where)), next_ends=store.next_ends(tx, now, MOST_ENDS),
        fences=fences, stuck=sum(stuck[0].values()), unfenced=sum(late[0].values()), waiting=waiting, unsent=unsent,
        senders=senders,
        coming=sorted((Coming(one.site, one.offer, one.count, one.from_) for one in places if one.from_ > now),
                      key=lambda one: (one.at, one.site, one.offer)))


def hour_edges(now: datetime, where: tzinfo) -> list[datetime]:
    """Now, then each full hour of the zone, up to 24 hours from now."""
    here, end = now.astimezone(where), now + timedelta(hours=HOURS)
    full = now - timedelta(minutes=here.minute, seconds=here.second, microseconds=here.microsecond)
    edges = [full + timedelta(hours=nth) for nth in range(1, HOURS + 1)]
    return [now, *(edge for edge in edges if edge < end), end]


def day_edges(now: datetime, where: tzinfo) -> list[datetime]:
    """Now, then the beginning of each of the following days of the zone."""
    return [now, *(_civil(now, where, nth, 0) for nth in range(1, DAYS + 1))]


def noons(now: datetime, where: tzinfo) -> list[datetime]:
    """Now, then noon of each of the following days."""
    return [now, *(_civil(now, where, nth, 12) for nth in range(1, DAYS))]


def _civil(now: datetime, where: tzinfo, days: int, hour: int) -> datetime:
    """So many days on, at this hour of the zone's own clock, summer time or not."""
    today = now.astimezone(where).replace(tzinfo=None, hour=hour, minute=0, second=0, microsecond=0)
    return (today + timedelta(days=days)).replace(tzinfo=where).astimezone(UTC)


def _pieces(tx: Tx, edges: Sequence[datetime]) -> list[Piece]:
    states: list[dict[State, int]] = [{} for _ in edges[1:]]
    by_site: list[dict[str, int]] = [{} for _ in edges[1:]]
    for nth, site, state, count in store.ends(tx, edges):
        states[nth][state] = states[nth].get(state, 0) + count
        by_site[nth][site] = by_site[nth].get(site, 0) + count
    return [Piece(at, until, sum(of_state.values()), of_state, of_site)
            for at, until, of_state, of_site in zip(edges, edges[1:], states, by_site, strict=False)]


def _sites(tx: Tx, now: datetime, where: tzinfo, rows: Sequence[SiteRow], places: Sequence[Places],
           hours: Sequence[Piece], stuck: Mapping[str, int], late: Mapping[str, int]) -> list[SiteView]:
    live = store.live(tx, [row.name for row in rows])
    instants = noons(now, where)
    held = store.held(tx, instants)
    return [SiteView(
        name=row.name, kind=row.kind, tier=row.tier, drained=row.drained, held=row.held,
        live={state: count for (site, state), count in live.items() if site == row.name},
        ending=sum(piece.by_site.get(row.name, 0) for piece in hours),
        stuck=stuck.get(row.name, 0), unfenced=late.get(row.name, 0),
        places=_places([one for one in places if one.site == row.name],
                       [one for one in held if one.site == row.name], instants)) for row in rows]


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
