"""Arithmetic of usage: clock hours, and amounts spread over them. Pure; the same for every kind of site."""

from datetime import UTC, datetime, timedelta

HOUR = timedelta(hours=1)
KEPT = timedelta(days=90)
"""How long a site remembers its outages."""


def hour(at: datetime) -> datetime:
    """The beginning of the clock hour in UTC that holds this instant."""
    return at.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def hours(since: datetime, until: datetime) -> list[tuple[datetime, datetime]]:
    """[since, until) cut at the clock hours; nothing when it is empty."""
    cuts = [since]
    while (following := hour(cuts[-1]) + HOUR) < until:
        cuts.append(following)
    return list(zip(cuts, [*cuts[1:], until], strict=True)) if since < until else []


def spread(amount: int, since: datetime, until: datetime) -> dict[datetime, int]:
    """An amount that came evenly over [since, until), by clock hour. The shares add up to the amount exactly; without
    any time between, all of it is the hour's of `until`."""
    whole = _ticks(until - since)
    if whole <= 0:
        return {hour(until): amount}
    shares, before = {}, 0
    for begun, over in hours(since, until):
        so_far = amount * _ticks(over - since) // whole
        shares[hour(begun)] = so_far - before
        before = so_far
    return shares


def _ticks(span: timedelta) -> int:
    return span // timedelta(microseconds=1)
