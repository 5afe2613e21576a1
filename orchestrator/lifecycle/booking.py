"""Booking ahead: when an account that is to begin later is prepared, becomes usable, and has failed."""

from datetime import datetime, timedelta

from orchestrator.lifecycle.errors import RuleError
from orchestrator.lifecycle.offer import Offer

MOST_AHEAD = timedelta(days=366)


def checked(begins_at: datetime, now: datetime, most: timedelta = MOST_AHEAD) -> datetime:
    """The wish itself, when it lies ahead and not too far. RuleError `bad_begin`."""
    if begins_at <= now:
        raise RuleError("bad_begin", f"{begins_at.isoformat()} has passed: leave the beginning out to begin at once")
    if begins_at - now > most:
        raise RuleError("bad_begin", f"{begins_at.isoformat()} is too far ahead: at most {most.days} days, until "
                                     f"{(now + most).isoformat()}")
    return begins_at


def preparing_from(offer: Offer, begins_at: datetime, now: datetime) -> list[datetime]:
    """When preparing may start, best first: as long before the beginning as it may take at most, so that the account
    is usable on time; or, where the place is not free before, with the beginning itself."""
    return sorted({max(now, begins_at - offer.provision_within), begins_at})
