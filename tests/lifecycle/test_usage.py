"""Gaps in what was measured, and what an outage has taken of a lease."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.lifecycle import outage, usage
from orchestrator.lifecycle.account import State
from orchestrator.lifecycle.usage import HOUR, Gap, UsageRow
from tests.lifecycle.making import account

START = datetime(2027, 3, 1, 8, 20, tzinfo=UTC)
EIGHT = START.replace(minute=0)
MINUTE = timedelta(minutes=1)


def row(since: datetime, until: datetime, covered: timedelta | None = None, meter: str = "cpu") -> UsageRow:
    return UsageRow("a222222222", meter, usage.hour_of(since), 1, since, until,
                    until - since if covered is None else covered, until)


def found(*rows: UsageRow, until: datetime = EIGHT + 2 * HOUR) -> list[Gap]:
    return usage.gaps(rows, {"cpu": [(START, until)]})


def test_a_lease_that_was_read_has_no_gap() -> None:
    """From its first moment to its last."""
    assert found(row(START, EIGHT + HOUR), row(EIGHT + HOUR, EIGHT + 2 * HOUR)) == []


def test_an_hour_nobody_read_is_a_gap() -> None:
    """As long as the lease was within it."""
    assert found(row(EIGHT + HOUR, EIGHT + 2 * HOUR)) == [Gap("cpu", START, EIGHT + HOUR, 40 * MINUTE)]


def test_an_hour_read_in_part_is_a_gap_of_the_rest() -> None:
    """Ten minutes of the second hour were not measured."""
    assert found(row(START, EIGHT + HOUR), row(EIGHT + HOUR, EIGHT + 2 * HOUR, 50 * MINUTE)) == [
        Gap("cpu", EIGHT + HOUR, EIGHT + 2 * HOUR, 10 * MINUTE)]


def test_an_hour_read_too_early_is_a_gap_of_what_came_after() -> None:
    """Read at half past, never again."""
    assert found(row(START, EIGHT + 30 * MINUTE), until=EIGHT + HOUR) == [
        Gap("cpu", START, EIGHT + HOUR, 30 * MINUTE)]


def test_each_meter_has_its_own_gaps() -> None:
    """One was read, one was not."""
    gaps = usage.gaps([row(START, EIGHT + HOUR)], dict.fromkeys(("cpu", "egress"), [(START, EIGHT + HOUR)]))
    assert [(gap.meter, gap.missing) for gap in gaps] == [("egress", 40 * MINUTE)]


def test_a_young_hour_is_not_missed_yet() -> None:
    """With hourly readings, the hour before this one may still be on its way."""
    young = account(State.ACTIVE, starts_at=START, ends_at=START + 24 * HOUR)
    assert usage.lease(young, START + 2 * HOUR, HOUR, None) == (START, EIGHT + HOUR)


def test_of_one_that_is_gone_everything_should_have_been_read() -> None:
    """Up to its fence."""
    gone = account(State.RECLAIMED, starts_at=START, ends_at=START + HOUR, fenced_at=START + HOUR)
    assert usage.lease(gone, START + HOUR, HOUR, None) == (START, START + HOUR)


INSTANT = st.integers(0, 100).map(lambda minutes: START + minutes * MINUTE)
SPAN = st.tuples(INSTANT, INSTANT)


@given(st.lists(SPAN, max_size=6), SPAN)
def test_every_minute_of_a_lease_is_made_good_at_most_once(spans: list[outage.Span], lease: outage.Span) -> None:
    """In whatever order the outages come, together they are as long as the minutes of the lease that lie in any."""
    owed = [outage.owed(one, lease, spans[:nth]) for nth, one in enumerate(spans)]
    lost = sum(any(begin <= at < end for begin, end in spans) and lease[0] <= at < lease[1]
               for at in (START + minute * MINUTE for minute in range(100)))
    assert sum(owed, timedelta()) == lost * MINUTE
    assert all(one >= timedelta() for one in owed)
