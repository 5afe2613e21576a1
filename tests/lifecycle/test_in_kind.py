"""Hours in kind by the meter: an end that cannot be overdrawn, whatever is read, and whoever dies."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.lifecycle.in_kind import Hours, hours_of, worth_moving
from orchestrator.lifecycle.usage import UsageRow, hour_of

BEGUN = datetime(2027, 3, 1, 8, 20, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
HOURS = Hours(Decimal(100), 4, BEGUN, BEGUN + 60 * DAY)


def row(since: datetime, until: datetime, chips: float, covered: float = 1.0) -> UsageRow:
    """So many chips were in use for the part of the interval that was measured."""
    measured = (until - since) * covered
    amount = int(measured / timedelta(milliseconds=1) * chips)
    return UsageRow("a", "chip:x", hour_of(since), amount, since, until, measured, until)


def test_nothing_read_is_all_used() -> None:
    """100 chip-hours on four chips: 25 hours, as the site was told first."""
    assert HOURS.lasts_until([]) == BEGUN + 25 * HOUR


def test_an_idle_hour_is_an_hour_more() -> None:
    """Ten minutes of rest move the end by ten minutes."""
    assert HOURS.lasts_until([row(BEGUN, BEGUN + HOUR / 6, 0)]) == BEGUN + 25 * HOUR + HOUR / 6


def test_half_of_the_chips_last_twice_as_long() -> None:
    """Two of four for 40 minutes: 20 minutes more."""
    assert HOURS.lasts_until([row(BEGUN, BEGUN + 40 * HOUR / 60, 2)]) == BEGUN + 25 * HOUR + HOUR / 3


def test_what_was_not_measured_counts_as_used() -> None:
    """Half of an idle interval was a gap: half of it is gained."""
    assert HOURS.lasts_until([row(BEGUN, BEGUN + 40 * HOUR / 60, 0, 0.5)]) == BEGUN + 25 * HOUR + HOUR / 3


def test_no_hour_lasts_beyond_the_programmes_limit() -> None:
    """Sixty days, however little is used."""
    idle = [row(max(BEGUN, at), at + HOUR, 0) for at in (hour_of(BEGUN) + nth * HOUR for nth in range(60 * 24))]
    assert HOURS.lasts_until(idle) == BEGUN + 60 * DAY


def test_more_than_there_was_ends_at_once() -> None:
    """A meter that runs away leaves nothing, not less than nothing."""
    assert HOURS.lasts_until([row(BEGUN, BEGUN + 40 * HOUR / 60, 400)]) == BEGUN + 40 * HOUR / 60


def test_a_move_is_rare_while_much_is_left() -> None:
    """100 hours left: not for nine, but for ten; near the end, for ten minutes."""
    now = BEGUN
    assert [worth_moving(now, now + 100 * HOUR, now + (100 + more) * HOUR) for more in (9, 10)] == [False, True]
    assert [worth_moving(now, now + HOUR, now + HOUR + timedelta(minutes=more)) for more in (9, 10)] == [False, True]


@given(st.lists(st.tuples(st.integers(1, 60), st.integers(0, 4), st.booleans(), st.booleans()), max_size=60),
       st.integers(1, 200))
def test_no_use_overdraws_an_end_that_was_armed(story: list[tuple[int, int, bool, bool]], worth: int) -> None:
    """Chips run as they like, some minutes are read and some are lost, the end is moved or left, and the site ends it
    there: what really ran is never more than the voucher is worth."""
    hours = Hours(Decimal(worth), 4, BEGUN, BEGUN + 30 * DAY)
    armed, at, used, rows = hours.lasts_until([]), BEGUN, timedelta(), list[UsageRow]()
    for minutes, chips, read, moved in story:
        until = min(at + timedelta(minutes=minutes), hour_of(at) + HOUR)
        used += chips * max(min(until, armed) - at, timedelta())
        rows += [row(at, until, chips)] if read else []
        at = until
        if moved and at < armed:
            armed = max(armed, hours.lasts_until(rows))
    used += 4 * max(armed - at, timedelta())
    assert used <= worth * HOUR


def test_hours_are_counted_in_millionths_and_never_ahead() -> None:
    """3,599,999 chip-milliseconds are not yet an hour."""
    assert (hours_of(3_599_999), hours_of(3_600_000)) == (Decimal("0.999999"), Decimal(1))
