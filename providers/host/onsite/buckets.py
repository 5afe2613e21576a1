"""Arithmetic of the meters: clock hours, amounts spread over them, counters that start anew. Pure, whole numbers only.

Instants and times are milliseconds; an hour is its number since the epoch. How long something was used is told by a
clock that nobody sets (`steady`), in which hour by the host's own (`now`): a jump of that makes nothing negative or
giant. An hour's bucket is open while the host's clock is in it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

HOUR = 3_600_000
LONGEST = 15_000
"""Between two looks that are farther apart than this nothing was metered: a gap."""
OUTAGE = 60_000
"""A host that was away for longer, and was started anew, had an outage."""
UNIT = {"cpu": 1000, "memory": 1000, "storage": 1000}
"""What a bucket counts, per unit of the meter: microseconds, byte-milliseconds. Of all others, the unit itself."""


@dataclass
class Bucket:
    """One hour of one account: for how long each meter was read, and what it counted."""

    covered: dict[str, int] = field(default_factory=dict)
    amounts: dict[str, int] = field(default_factory=dict)

    def add(self, meter: str, amount: int, covered: int) -> None:
        self.amounts[meter] = self.amounts.get(meter, 0) + amount
        self.covered[meter] = self.covered.get(meter, 0) + covered

    @property
    def measured(self) -> int:
        """Time in which all of its meters were read."""
        return min(self.covered.values(), default=0)


@dataclass(frozen=True)
class Reading:
    """One look at one account. None: could not be read. `cgroup` tells one CPU counter from the next of its name; an
    account whose counters are not there runs nothing and sends nothing, which is no gap."""

    cgroup: int
    cpu: int | None
    memory: int | None
    storage: int | None
    egress: int | None


NOTHING_RUNS = -1
"""`cgroup` of an account that has none."""
NOT_THERE = -1
"""`egress` of an account that has no counter."""


@dataclass
class Row:
    """One account's meters: since when it is metered (its opening), its counters at the last look, its open hour."""

    since: int
    cgroup: int = NOTHING_RUNS
    cpu: int = 0
    egress: int = 0
    hour: int = 0
    bucket: Bucket = field(default_factory=Bucket)

    def counted(self, seen: Reading) -> dict[str, int]:
        """What the counters have gone on by; of a new counter, all that it shows."""
        found = {}
        if seen.cpu is not None:
            goes_on = seen.cgroup == self.cgroup and seen.cpu >= self.cpu
            found["cpu"] = 0 if seen.cgroup == NOTHING_RUNS else seen.cpu - self.cpu if goes_on else seen.cpu
            if seen.cgroup != NOTHING_RUNS:
                self.cgroup, self.cpu = seen.cgroup, seen.cpu
        if seen.egress is not None:
            # the packet filter's counter is made anew from what was saved here, so it never starts at 0
            found["egress"] = max(0, seen.egress - self.egress) if seen.egress != NOT_THERE else 0
            self.egress = seen.egress if seen.egress != NOT_THERE else self.egress
        return found

    def look(self, seen: Reading, now: int, covered: int, past: Callable[[int], Bucket]) -> dict[int, Bucket]:
        """Add what was used in the last `covered` milliseconds; the buckets that this has closed. `past` gives an
        hour's bucket that was closed before: after a step of the clock its hour may come again."""
        since = max(now - covered, min(self.since, now))
        window = hours(since, now)
        amounts = {meter: spread(count, since, now) for meter, count in self.counted(seen).items()}
        for meter, size in (("memory", seen.memory), ("storage", seen.storage)):
            if size is not None:
                amounts[meter] = {begun // HOUR: size * (over - begun) for begun, over in window}
        times = {begun // HOUR: over - begun for begun, over in window}
        closed: dict[int, Bucket] = {}
        for hour in sorted(times.keys() | {hour for shares in amounts.values() for hour in shares}):
            if hour != self.hour:
                if self.bucket.amounts:
                    closed[self.hour] = self.bucket
                self.hour, self.bucket = hour, closed.pop(hour) if hour in closed else past(hour)
            for meter, shares in amounts.items():
                self.bucket.add(meter, shares.get(hour, 0), times.get(hour, 0))
        return closed


def hours(since: int, until: int) -> list[tuple[int, int]]:
    """[since, until) cut at the clock hours; nothing when it is empty."""
    cuts = [since, *range((since // HOUR + 1) * HOUR, until, HOUR), until]
    return list(zip(cuts, cuts[1:], strict=False)) if since < until else []


def spread(amount: int, since: int, until: int) -> dict[int, int]:
    """An amount that came evenly over [since, until), by hour; the shares add up to it exactly. Without any time
    between, all of it is the hour's of `until`."""
    if until <= since:
        return {until // HOUR: amount}
    shares, before = {}, 0
    for begun, over in hours(since, until):
        so_far = amount * (over - since) // (until - since)
        shares[begun // HOUR] = so_far - before
        before = so_far
    return shares


def elapsed(before: int, steady: int) -> int:
    """What of the time between two looks was metered: all of it or, when they are too far apart, nothing."""
    return steady - before if 0 < steady - before <= LONGEST else 0


def told(since: int, until: int, bucket: Bucket, more: Mapping[str, int]) -> dict[str, object]:
    """One interval in the meters' units, with what other books (`more`) have of it."""
    amounts = {meter: bucket.amounts.get(meter, 0) + more.get(meter, 0) for meter in bucket.amounts.keys() | more}
    for meter, covered in bucket.covered.items():
        if covered == 0 and not amounts[meter]:
            del amounts[meter]
    known = {meter: amount // UNIT.get(meter, 1) for meter, amount in amounts.items()}
    covered = min(bucket.measured, until - since)
    return {"since": since / 1000, "until": until / 1000, "covered": covered / 1000, "amounts": known}
