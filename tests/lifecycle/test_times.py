"""Instants as operators write and read them."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.lifecycle import times
from orchestrator.lifecycle.errors import RuleError

NOW = datetime(2027, 1, 31, 10, 0, tzinfo=UTC)


@pytest.mark.parametrize(("text", "at"), [
    ("2027-01-31T18:00:00+08:00", NOW),
    ("2027-01-31T10:00:00Z", NOW),
    ("2027-01-31 18:00", NOW),
    ("2027-01-31", datetime(2027, 1, 30, 16, tzinfo=UTC)),
    ("2028-02-29", datetime(2028, 2, 28, 16, tzinfo=UTC)),
    ("+24h", NOW + timedelta(days=1)),
    ("+1d12h", NOW + timedelta(hours=36)),
    ("now", NOW),
])
def test_an_instant_is_read_in_its_zone(text: str, at: datetime) -> None:
    """With an offset as written; without one as civil time in Shanghai; always UTC inside."""
    read = times.parse(text, NOW)
    assert (read, read.tzinfo) == (at, UTC)


@pytest.mark.parametrize("text", ["", "tomorrow", "18:00", "2027-02-29", "2027-13-01", "2027-1-1", "20270131", "+",
                                  "+1", "+0h", "-1h", "2027-01-31T25:00", "9999-12-31T23:59:59-23:00", "1798700400",
                                  "+999999999999999d"])
def test_what_is_no_instant_is_refused(text: str) -> None:
    """Ambiguous, impossible and overflowing ones alike."""
    with pytest.raises(RuleError):
        times.parse(text, NOW)


def test_an_instant_is_shown_with_its_offset() -> None:
    """Civil time, to the second."""
    assert times.show(NOW) == "2027-01-31 18:00:00+08:00"


@pytest.mark.parametrize(("length", "text"), [
    (timedelta(), "0s"), (timedelta(seconds=90), "1m 30s"), (timedelta(days=2, hours=3, minutes=4), "2d 3h"),
    (timedelta(seconds=-5), "-5s"), (timedelta(days=1, seconds=1), "1d 1s"),
])
def test_a_span_shows_its_two_largest_units(length: timedelta, text: str) -> None:
    """Enough to decide by."""
    assert times.show_span(length) == text


@given(st.datetimes(min_value=datetime(1993, 1, 1), max_value=datetime(2999, 1, 1)))  # noqa: DTZ001 - made aware below
def test_what_is_shown_can_be_written_back(naive: datetime) -> None:
    """Copied from a table into a command, a time is the same instant."""
    at = naive.replace(microsecond=0, tzinfo=UTC)
    assert times.parse(times.show(at), NOW) == at


@pytest.mark.parametrize(("said", "read"), [
    ("2026-11-01T01:00:00+00:00 has passed", "2026-11-01 09:00:00+08:00 has passed"),
    ("from 2026-11-01T01:00:00.123456+00:00 to 2026-11-01T02:00:00Z", "from 2026-11-01 09:00:00+08:00 to "
                                                                       "2026-11-01 10:00:00+08:00"),
    ("at 2026-11-01T01:00:00+08:00, or 2026-11-01", "at 2026-11-01T01:00:00+08:00, or 2026-11-01"),
])
def test_instants_in_a_sentence_are_read_as_civil_time(said: str, read: str) -> None:
    """Those in UTC; others are somebody's own words."""
    assert times.civil(said) == read
