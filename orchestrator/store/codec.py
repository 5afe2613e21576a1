"""Offers, as JSON snapshots: an account keeps the offer that it was made with."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from orchestrator.lifecycle.offer import Offer

_TIMES = ("duration", "grace", "provision_within")
_LISTS = ("images", "models", "precision", "kinds", "tiers")


def offer_to_json(offer: Offer) -> dict[str, Any]:
    """Durations become seconds, tuples lists."""
    plain: dict[str, Any] = {name: getattr(offer, name) for name in Offer.__dataclass_fields__}
    plain |= {name: plain[name].total_seconds() for name in _TIMES}
    plain |= {name: list(plain[name]) for name in _LISTS}
    plain["warn_before"] = [before.total_seconds() for before in offer.warn_before]
    plain |= {name: dict(plain[name]) for name in ("accelerators", "labels")}
    return plain


def offer_from_json(plain: Mapping[str, Any]) -> Offer:
    """The offer back. Fields that a later version added take their defaults."""
    values = dict(plain)
    values |= {name: timedelta(seconds=values[name]) for name in _TIMES if name in values}
    values |= {name: tuple(values[name]) for name in _LISTS if name in values}
    if "warn_before" in values:
        values["warn_before"] = tuple(timedelta(seconds=before) for before in values["warn_before"])
    return Offer(**values)
