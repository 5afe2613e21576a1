"""How promptly ends were fenced: the lag between an end and its fence, by the site's own clock."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from orchestrator.store.overview import FenceAt

MOST = 2000
"""Read at a look: the latest ones."""
BOUNDS = tuple(timedelta(seconds=bound) for bound in (0.1, 1, 2, 10, 60, 600))
"""One second without a login, two without a process, are what a site promises."""
MOST_WORST = 8


@dataclass(frozen=True, slots=True)
class Lag:
    """One account's end, and how long after it the fence stood."""

    account: str
    site: str
    ended_at: datetime
    lag: timedelta


@dataclass(frozen=True, slots=True)
class Bucket:
    """Fences whose lag is at most `upto` and above the bucket before; None: above all bounds."""

    upto: timedelta | None
    count: int


@dataclass(frozen=True, slots=True)
class Fences:
    """`early` ones stood before their end already, by an operator's hand; they are not in the figures. `capped`: there
    are more, and the figures are those of the latest `MOST`."""

    capped: bool
    count: int
    early: int
    p50: timedelta | None
    p99: timedelta | None
    buckets: Sequence[Bucket]
    worst: Sequence[Lag]


def fences_of(found: Sequence[FenceAt]) -> Fences:
    """The distribution, and the slowest ones with their accounts, of the `MOST` that come first."""
    lags = sorted((Lag(one.id, one.site, one.ends_at, one.fenced_at - one.ends_at) for one in found[:MOST]),
                  key=lambda one: one.lag)
    early = [one for one in lags if one.lag < timedelta()]
    timely = [one for one in lags if one.lag >= timedelta()]
    edges = [timedelta(-1), *BOUNDS, timedelta.max]
    return Fences(
        capped=len(found) > MOST, count=len(timely), early=len(early), p50=_at(timely, 0.5), p99=_at(timely, 0.99),
        buckets=[Bucket(upto if upto != timedelta.max else None, sum(low < one.lag <= upto for one in timely))
                 for low, upto in zip(edges, edges[1:], strict=False)],
        worst=timely[:-MOST_WORST - 1:-1])


def _at(ordered: Sequence[Lag], share: float) -> timedelta | None:
    """The smallest lag that this share of the fences does not exceed."""
    return ordered[max(0, -int(-len(ordered) * share // 1) - 1)].lag if ordered else None
