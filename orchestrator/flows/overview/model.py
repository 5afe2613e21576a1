"""How things stand, for whoever watches: one model, made by one function, shown on the terminal and on a page.

What needs a person comes first, each with the next command to type. Ids and names of ours only, no personal data.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from enum import StrEnum

from orchestrator.flows.context import Context
from orchestrator.flows.overview.alarms import Alarm, alarms
from orchestrator.flows.overview.fences import MOST as MOST_FENCES
from orchestrator.flows.overview.fences import Fences, fences_of
from orchestrator.flows.overview.places import DAYS, Coming, look_at_places
from orchestrator.lifecycle import times
from orchestrator.lifecycle.account import State
from orchestrator.lifecycle.due import Owed
from orchestrator.store import holding, looks, sites
from orchestrator.store import overview as store
from orchestrator.store.calendar import OfferPlaces
from orchestrator.store.engine import Tx
from orchestrator.store.looks import Look
from orchestrator.store.overview import Standing, Unsent, Waiting
from orchestrator.store.sites import SiteRow

HOURS = 24
SETTLING = timedelta(seconds=5)
"""An end is fenced within less; what takes longer is shown."""
FENCES_SINCE = timedelta(days=7)
MOST_ENDS, MOST_UNFENCED, MOST_STUCK, MOST_SENDERS = 12, 200, 1000, 10


class Level(StrEnum):
    """The one word above everything."""

    CALM = "calm"
    HELD = "held"
    """All works, and a hold keeps what would be gone by now."""
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
    look: Look | None
    """Whether it answers; None when no worker ever asked."""
    places: Sequence[OfferPlaces]


@dataclass(frozen=True, slots=True)
class Overview:
    """Everything. Lists are bounded; the counts beside them are not, but for fences, which say so."""

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
    rows, seen = sites.list_(tx), looks.list_(tx)
    live = store.live(tx, [row.name for row in rows])
    hours = _pieces(tx, hour_edges(now, where))
    stuck, late = store.stuck(tx, MOST_STUCK), store.unfenced(tx, now - SETTLING, MOST_UNFENCED)
    waiting, (unsent, senders) = store.waiting(tx, now), store.unsent(tx, now, MOST_SENDERS)
    fences = fences_of(store.fences(tx, now - FENCES_SINCE, MOST_FENCES + 1))
    places, coming = look_at_places(tx, now, where)
    found = alarms(now, late[0], late[1], stuck[1], waiting, senders, list(seen.values()), _watched(rows, live),
                   holding.kept(tx, now))
    level = (Level.NEEDS_YOU if any(one.who == "operator" for one in found)
             else Level.WORKING if any(one.who == "tenure" for one in found) else Level.HELD if found else Level.CALM)
    return Overview(
        at=now, level=level, alarms=found,
        sites=_sites(rows, live, seen, hours, stuck[0], late[0], places),
        hours=hours, days=_pieces(tx, day_edges(now, where)), next_ends=store.next_ends(tx, now, MOST_ENDS),
        fences=fences, stuck=sum(stuck[0].values()), unfenced=sum(late[0].values()), waiting=waiting, unsent=unsent,
        senders=senders, coming=coming)


def hour_edges(now: datetime, where: tzinfo) -> list[datetime]:
    """Now, then each full hour of the zone, up to 24 hours from now."""
    here, end = now.astimezone(where), now + timedelta(hours=HOURS)
    full = now - timedelta(minutes=here.minute, seconds=here.second, microseconds=here.microsecond)
    edges = [full + timedelta(hours=nth) for nth in range(1, HOURS + 1)]
    return [now, *(edge for edge in edges if edge < end), end]


def day_edges(now: datetime, where: tzinfo) -> list[datetime]:
    """Now, then the beginning of each of the following days of the zone."""
    today = now.astimezone(where).date()
    return [now, *(times.midnight(today + timedelta(days=nth), where) for nth in range(1, DAYS + 1))]


def _pieces(tx: Tx, edges: Sequence[datetime]) -> list[Piece]:
    states: list[dict[State, int]] = [{} for _ in edges[1:]]
    by_site: list[dict[str, int]] = [{} for _ in edges[1:]]
    for nth, site, state, count in store.ends(tx, edges):
        states[nth][state] = states[nth].get(state, 0) + count
        by_site[nth][site] = by_site[nth].get(site, 0) + count
    return [Piece(at, until, sum(of_state.values()), of_state, of_site)
            for at, until, of_state, of_site in zip(edges, edges[1:], states, by_site, strict=False)]


def _watched(rows: Sequence[SiteRow], live: Mapping[tuple[str, State], int]) -> dict[str, int]:
    """Live accounts of each site that has to answer: one that is drained and empty may be gone for good."""
    counts = {row.name: sum(count for (site, _), count in live.items() if site == row.name) for row in rows}
    return {row.name: counts[row.name] for row in rows if counts[row.name] or not row.drained}


def _sites(rows: Sequence[SiteRow], live: Mapping[tuple[str, State], int], seen: Mapping[str, Look],
           hours: Sequence[Piece], stuck: Mapping[str, int], late: Mapping[str, int],
           places: Mapping[str, Sequence[OfferPlaces]]) -> list[SiteView]:
    return [SiteView(
        name=row.name, kind=row.kind, tier=row.tier, drained=row.drained, held=row.held,
        live={state: count for (site, state), count in live.items() if site == row.name},
        ending=sum(piece.by_site.get(row.name, 0) for piece in hours),
        stuck=stuck.get(row.name, 0), unfenced=late.get(row.name, 0), look=seen.get(row.name),
        places=places.get(row.name, ())) for row in rows]
