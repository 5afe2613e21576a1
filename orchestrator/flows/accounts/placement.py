"""Where an account goes: the operator's order among the sites that can serve its offer and are not drained."""

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

from orchestrator.lifecycle import booking
from orchestrator.lifecycle.errors import RuleError
from orchestrator.lifecycle.offer import Offer
from orchestrator.store import capacity, sites
from orchestrator.store.engine import Tx
from orchestrator.store.sites import ALWAYS, SiteRow
from providers import registry

CHIPS = "chips"
"""The label of a site that names the accelerators it has: `chips: ascend-910b, mlu`."""


def offer_named(tx: Tx, name: str) -> Offer:
    """The offer as it stands now. RuleError `offer_unknown`."""
    found = sites.get_offer(tx, name)
    if found is None:
        raise RuleError("offer_unknown", f"there is no offer {name!r}")
    return found


def candidates(tx: Tx, offer: Offer, avoid: frozenset[str] = frozenset(), *, ahead: bool = False) -> list[str]:
    """Names of the sites that may take an account of this offer, best first; those to avoid come last. Whether a place
    is free is asked next. `ahead`: sites that have yet to be brought up, too."""
    with_places = {place.site for place in sites.list_places(tx, offer=offer.name)}
    names = [site.name for site in sites.list_(tx)
             if site.name in with_places and not site.drained and (ahead or _spoken_to(site)) and serves(site, offer)]
    return sorted(names, key=lambda name: name in avoid)


Hold = Callable[[Tx, str, str, str, datetime, datetime, datetime], bool]
"""`capacity.hold` or `capacity.move`."""


def take(tx: Tx, hold: Hold, account: str, offer: Offer, among: Iterable[str], begins_at: datetime | None,
         now: datetime) -> tuple[str, datetime] | None:
    """A place at the first of these sites that has one for the whole of the account, from its beginning (None: now)
    through its grace; answers the site and from when the place is held. None: there is none."""
    until = held_until(offer, (begins_at or now) + offer.provision_within + offer.duration)
    capacity.lock(tx, offer.name)
    starts = [now] if begins_at is None else booking.preparing_from(offer, begins_at, now)
    for site in among:
        for start in starts:
            if hold(tx, account, site, offer.name, start, until, now):
                return site, start
    return None


def _spoken_to(site: SiteRow) -> bool:
    """A host whose key nobody has vouched for cannot be reached: an account placed there could only fail."""
    return not registry.is_host(site.kind) or "host_key" in site.settings


def serves(site: SiteRow, offer: Offer) -> bool:
    """Whether the site is of a kind, tier, place and make that the offer asks for."""
    return ((not offer.kinds or site.kind in offer.kinds)
            and (not offer.tiers or site.tier in offer.tiers)
            and all(site.labels.get(name) == value for name, value in offer.labels.items())
            and set(offer.accelerators) <= chips_of(site)
            and (not offer.set_aside or _sets_aside(site)))


def _sets_aside(site: SiteRow) -> bool:
    """Whether it makes reservations: the section of its settings that its kind names says so."""
    own = _own(site)
    return bool(own.get("licence") or own.get("set_aside"))


def chips_of(site: SiteRow) -> set[str]:
    """The accelerators that it has: by its label, and by `chips` in the section of its settings that its kind names."""
    return {*re.split(r"[\s,]+", site.labels.get(CHIPS, "")), *_own(site).get(CHIPS, ())}


def _own(site: SiteRow) -> Mapping[str, Any]:
    """The section of its settings that its kind names, empty where there is none."""
    own = site.settings.get(site.kind)
    return own if isinstance(own, Mapping) else {}


def held_until(offer: Offer, end: datetime) -> datetime:
    """How long the place of an account that ends then is taken: through its grace."""
    return end + offer.grace if end < ALWAYS - offer.grace else ALWAYS
