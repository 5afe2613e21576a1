"""Places by site, offer and day, as the calendar counts them, and what is not online yet."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo

from orchestrator.store import calendar, sites
from orchestrator.store.calendar import OfferPlaces
from orchestrator.store.engine import Tx

DAYS = 14


@dataclass(frozen=True, slots=True)
class Coming:
    """Places that are not online yet."""

    site: str
    offer: str
    count: int
    at: datetime


def look_at_places(tx: Tx, now: datetime, where: tzinfo) -> tuple[Mapping[str, Sequence[OfferPlaces]], list[Coming]]:
    """Of each site, today and the days after it; and what comes online later, soonest first."""
    by_site = defaultdict[str, list[OfferPlaces]](list)
    for one in calendar.days(tx, now.astimezone(where).date(), DAYS, now, where):
        by_site[one.site].append(one)
    return by_site, sorted((Coming(one.site, one.offer, one.count, one.from_) for one in sites.list_places(tx)
                            if one.from_ > now), key=lambda one: (one.at, one.site, one.offer))
