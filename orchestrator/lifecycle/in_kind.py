"""Hours in kind that end when the meter has used them up: until when they are certain to last.

What was measured is taken as measured, what was not as used in full, and so is all that is yet to come: up to the end
that follows from this nothing can be overdrawn, whoever is alive to look. It only ever moves later.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from orchestrator.lifecycle.usage import UsageRow

MS = timedelta(milliseconds=1)
SHORTEST = timedelta(minutes=10)
"""A move by less is not worth an account's time."""
PART = 10
"""Nor one by less than this part of what is left."""


@dataclass(frozen=True, slots=True)
class Hours:
    """`worth` resource-hours on so many chips, all usable from `begun` on, and none after `latest`."""

    worth: Decimal
    chips: int
    begun: datetime
    latest: datetime

    @property
    def whole(self) -> int:
        """The same in chip-milliseconds."""
        return int(self.worth * 3_600_000)

    def lasts_until(self, rows: Iterable[UsageRow]) -> datetime:
        """The latest end by which they cannot be overdrawn, from the rows of the chip's meter."""
        known = [row for row in rows if row.until > self.begun]
        read = max((row.until for row in known), default=self.begun)
        measured = sum((min(row.covered, row.until - row.since) for row in known), timedelta())
        unknown = max(read - self.begun - measured, timedelta())
        left = self.whole - sum(row.amount for row in known) - self.chips * -(-unknown // MS)
        return min(read + max(left, 0) // self.chips * MS, self.latest)


def worth_moving(now: datetime, ends_at: datetime, end: datetime) -> bool:
    """Whether a later end is worth telling the site: seldom while much is left, often towards the end."""
    return end - ends_at >= max(SHORTEST, (ends_at - now) / PART)


def hours_of(amount: int) -> Decimal:
    """Chip-milliseconds as hours in whole millionths, as the sums have them; what is less is not counted yet."""
    return Decimal(amount * 1_000_000 // 3_600_000) / 1_000_000
