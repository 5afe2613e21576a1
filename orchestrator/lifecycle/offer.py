"""Offers (套餐): what an account gets, for how long, and what happens around its end."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal

Tier = Literal["hub", "city", "edge"]

MAX_DURATION = timedelta(days=366)


@dataclass(frozen=True, slots=True)
class Offer:
    """Sizes are bytes, `rate` bits per second, `cpu_milli` thousandths of a core, all for the account as a whole."""

    name: str
    containers: int
    cpu_milli: int
    memory: int
    pids: int
    storage: int
    rate: int
    egress: int
    duration: timedelta
    images: tuple[str, ...]
    models: tuple[str, ...] = ()
    accelerators: Mapping[str, int] = field(default_factory=dict)
    set_aside: bool = False
    """Cores are kept free for the account for its whole lease; only sites that can do so are asked."""
    precision: tuple[str, ...] = ()
    warn_before: tuple[timedelta, ...] = (timedelta(hours=1), timedelta(minutes=10))
    grace: timedelta = timedelta(days=3)
    provision_within: timedelta = timedelta(minutes=10)
    """From REQUESTED: an account that is not usable by then has FAILED."""
    kinds: tuple[str, ...] = ()
    """Kinds of site that may serve it; empty: any. So for `tiers`."""
    tiers: tuple[Tier, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    """Labels that a site must have, with these values."""
