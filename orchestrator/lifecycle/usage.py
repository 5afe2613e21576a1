"""What an account has used: meters, measured intervals, and what of a lease nobody has measured.

An interval is one clock hour in UTC, cut at the account's beginning, at its removal and at now.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from orchestrator.lifecycle.account import Account, State
from orchestrator.lifecycle.offer import Offer
from orchestrator.lifecycle.outage import Span, clip, union

HOUR = timedelta(hours=1)
SMALLEST = timedelta(seconds=1)
"""What is missing for less than this is how clocks are read, not a gap."""
MOST = 2**63 - 1
UNITS: Mapping[str, str] = {"cpu": "core-ms", "memory": "byte-s", "storage": "byte-s", "egress": "byte"}
CHIP = "chip:"


def unit(meter: str) -> str:
    """What a meter's amounts are counted in; those of `chip:<name>` in chip-milliseconds."""
    return UNITS.get(meter, "chip-ms")


def meters(offer: Offer) -> tuple[str, ...]:
    """The meters that an account of this offer has."""
    return (*UNITS, *(meter_of(name) for name in sorted(offer.accelerators)))


def meter_of(resource: str) -> str:
    """The meter of a resource: of a chip, the one that bears its name."""
    return resource if resource in UNITS else f"{CHIP}{resource}"


@dataclass(frozen=True, slots=True)
class Stint:
    """What an account is from `since` on, until the next stint: its offer, and its contract, in force until `until`;
    None for the voucher's time."""

    since: datetime
    offer: Offer
    contract: str | None = None
    until: datetime | None = None

    def bound(self, at: datetime) -> str | None:
        """The contract that was in force at this instant."""
        return self.contract if self.until is not None and at < self.until else None


def asked(stints: Sequence[Stint], span: Span) -> dict[str, list[Span]]:
    """When within the span each meter has to say something: while the account's offer has it."""
    found: dict[str, list[Span]] = {}
    for stint, after in zip(stints, [*(one.since for one in stints[1:]), span[1]], strict=True):
        for meter in meters(stint.offer):
            found.setdefault(meter, []).extend(clip([span], stint.since, after))
    return {meter: union(spans) for meter, spans in found.items()}


@dataclass(frozen=True, slots=True)
class Measured:
    """What a site says of one hour. `covered` is how much of [since, until) it has measured; a meter that is not
    in `amounts` was not measured at all."""

    since: datetime
    until: datetime
    covered: timedelta
    amounts: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class UsageRow:
    """One meter in one clock hour: `amount` in the meter's unit, of which `covered` was measured."""

    account: str
    meter: str
    hour: datetime
    """The clock hour's start."""
    amount: int
    since: datetime
    until: datetime
    covered: timedelta
    read_at: datetime


@dataclass(frozen=True, slots=True)
class Gap:
    """Within [since, until), which lies in one clock hour, the meter was not measured for `missing`."""

    meter: str
    since: datetime
    until: datetime
    missing: timedelta


@dataclass(frozen=True, slots=True)
class Hour:
    """One meter in one clock hour as it is shown; `amount` None: nobody measured any of it."""

    meter: str
    hour: datetime
    since: datetime
    until: datetime
    amount: int | None
    covered: timedelta
    missing: timedelta


def hour_of(at: datetime) -> datetime:
    """The start of the clock hour, in UTC."""
    return at.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def hour_from(at: datetime) -> datetime:
    """The start of the first clock hour that begins at this instant or later, in UTC."""
    return hour_of(at + HOUR - timedelta(microseconds=1))


def check(measured: Measured) -> None:
    """ValueError when this cannot be an hour's reading, whatever the site."""
    since, until = measured.since, measured.until
    if not since <= until <= hour_of(since) + HOUR:
        raise ValueError(f"{since.isoformat()} to {until.isoformat()} is not within one clock hour")
    if not timedelta() <= measured.covered <= until - since + SMALLEST:
        raise ValueError(f"{measured.covered} measured of {until - since}, from {since.isoformat()}")
    for meter, amount in measured.amounts.items():
        if meter not in UNITS and not meter.startswith(CHIP):
            raise ValueError(f"meter {meter!r} is not known")
        if isinstance(amount, bool) or not isinstance(amount, int) or not 0 <= amount <= MOST:
            raise ValueError(f"meter {meter}: {amount!r} is not an amount, from {since.isoformat()}")


def lease(account: Account, now: datetime, every: timedelta, read_until: datetime | None) -> tuple[datetime,
                                                                                                datetime] | None:
    """The part of the lease that should have been measured by now; None when there is none yet.

    Readings come `every` so often: a younger hour that is not read yet is no gap, unless the account is gone.
    """
    if account.starts_at is None or account.ends_at is None:
        return None
    end = account.ends_at if account.fenced_at is None else max(account.fenced_at, account.starts_at)
    if account.state not in (State.RECLAIMED, State.RECLAIMING):
        due = hour_of(now - every)
        end = min(end, due if read_until is None else max(due, min(read_until, now)))
    return (account.starts_at, end) if end > account.starts_at else None


def gaps(rows: Iterable[UsageRow], of: Mapping[str, Sequence[Span]]) -> list[Gap]:
    """What of each meter's spans was not, or only in part, measured: by meter and hour."""
    found = {(row.meter, row.hour): row for row in rows}
    return [Gap(meter, begin, end, missing) for meter, spans in of.items() for span in spans
            for begin, end in hours(*span)
            if (missing := _missing(found.get((meter, hour_of(begin))), begin, end)) >= SMALLEST]


def by_hour(rows: Iterable[UsageRow], of: Mapping[str, Sequence[Span]]) -> list[Hour]:
    """Every row, and every hour of each meter's spans that has none, by hour and meter."""
    shown = {(row.hour, row.meter): _shown(row, of.get(row.meter, ())) for row in rows}
    for meter, spans in of.items():
        for begin, end in (hour for span in spans for hour in hours(*span)):
            shown.setdefault((hour_of(begin), meter), Hour(meter, hour_of(begin), begin, end, None, timedelta(),
                                                           end - begin))
    return [shown[key] for key in sorted(shown)]


def _shown(row: UsageRow, spans: Sequence[Span]) -> Hour:
    """Of what was measured outside of its meter's spans (in grace), only the row's own gap is one."""
    within = clip(spans, row.hour, row.hour + HOUR) or [(row.since, row.until)]
    missing = sum((_missing(row, *span) for span in within), timedelta())
    return Hour(row.meter, row.hour, min(row.since, within[0][0]), max(row.until, within[-1][1]), row.amount,
                row.covered, missing if missing >= SMALLEST else timedelta())


def hours(since: datetime, until: datetime) -> Iterator[tuple[datetime, datetime]]:
    """[since, until) cut at the clock hours."""
    at = since
    while at < until:
        end = min(hour_of(at) + HOUR, until)
        yield at, end
        at = end


def _missing(row: UsageRow | None, begin: datetime, end: datetime) -> timedelta:
    """Where in its interval a row has its own gap is not known: it is taken to be within [begin, end)."""
    if row is None:
        return end - begin
    measured = max(min(end, row.until) - max(begin, row.since), timedelta())
    inside = max(row.until - row.since - row.covered, timedelta())
    return end - begin - measured + min(inside, measured)
