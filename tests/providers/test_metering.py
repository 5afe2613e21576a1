"""Arithmetic of usage: hours and shares add up, whatever the times."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from providers.metering import HOUR, hour, hours, spread

START = datetime(2024, 2, 28, tzinfo=UTC)
INSTANTS = st.integers(0, 3 * 86_400_000_000).map(lambda micros: START + timedelta(microseconds=micros))
AMOUNTS = st.integers(0, 1 << 70)


@given(INSTANTS, INSTANTS)
def test_hours_cover_the_time_exactly(since: datetime, until: datetime) -> None:
    """Without hole or overlap, each within one clock hour."""
    cut = hours(since, until)
    assert sum((over - begun for begun, over in cut), timedelta()) == max(timedelta(), until - since)
    assert all(hour(begun) <= begun < over <= hour(begun) + HOUR for begun, over in cut)
    assert [begun for begun, _ in cut[1:]] == [over for _, over in cut[:-1]]


@given(AMOUNTS, INSTANTS, INSTANTS)
def test_shares_add_up_to_what_was_counted(amount: int, since: datetime, until: datetime) -> None:
    """Not one unit is lost or made, and none is negative."""
    shares = spread(amount, since, until)
    assert sum(shares.values()) == amount
    assert min(shares.values()) >= 0


@given(AMOUNTS, INSTANTS)
def test_what_came_in_no_time_belongs_to_its_hour(amount: int, at: datetime) -> None:
    """Also when a clock went back between."""
    assert spread(amount, at, at) == spread(amount, at + HOUR, at) == {hour(at): amount}
