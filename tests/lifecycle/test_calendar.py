"""Places on dates against brute force: every hour looked at, every answer compared."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.lifecycle import calendar
from orchestrator.lifecycle.calendar import Stretch

ZERO = datetime(2027, 3, 1, tzinfo=UTC)
LAST = 40


def hour(nth: int) -> datetime:
    return ZERO + timedelta(hours=nth)


HOURS = st.integers(0, LAST - 1)
SPANS = st.tuples(HOURS, st.integers(1, 20)).map(lambda span: (hour(span[0]), hour(span[0] + span[1])))
PLACES = st.lists(st.tuples(SPANS, st.integers(1, 3)).map(lambda one: Stretch(one[0][0], one[0][1], one[1])),
                  max_size=4)
HELD = st.lists(SPANS.map(lambda span: Stretch(span[0], span[1])), max_size=8)


def free(places: list[Stretch], held: list[Stretch], at: datetime) -> int:
    """Counted by looking."""
    return (sum(one.count for one in places if one.start <= at < one.until)
            - sum(one.count for one in held if one.start <= at < one.until))


def every(start: datetime, until: datetime) -> list[datetime]:
    return [at for nth in range(3 * LAST) if start <= (at := hour(nth)) < until]


@given(PLACES, HELD, SPANS)
def test_steps_say_what_is_free_at_every_instant(places: list[Stretch], held: list[Stretch],
                                                 span: tuple[datetime, datetime]) -> None:
    """At each hour, the last step before it."""
    found = calendar.steps(places, held, *span)
    for at in every(*span):
        assert [level for since, level in found if since <= at][-1] == free(places, held, at)


@given(PLACES, HELD, SPANS)
def test_one_more_fits_when_it_fits_at_every_instant(places: list[Stretch], held: list[Stretch],
                                                     span: tuple[datetime, datetime]) -> None:
    """No hour without a place."""
    assert calendar.fits(places, held, *span) == all(free(places, held, at) >= 1 for at in every(*span))


@given(PLACES, HELD, SPANS)
def test_the_fullest_moment_has_fewest_free(places: list[Stretch], held: list[Stretch],
                                            span: tuple[datetime, datetime]) -> None:
    """And it lies within."""
    at = calendar.fullest(places, held, *span)
    assert span[0] <= at < span[1]
    assert free(places, held, at) == min(free(places, held, one) for one in every(*span))


@given(PLACES, HELD, HOURS, st.integers(1, 10))
def test_the_nearest_beginnings_are_the_nearest(places: list[Stretch], held: list[Stretch], wish: int,
                                                length: int) -> None:
    """The last before and the first after that fit, among all hours; none when there is none."""
    def fits(nth: int) -> bool:
        return calendar.fits(places, held, hour(nth), hour(nth + length))

    before = [nth for nth in range(wish + 1) if fits(nth)]
    after = [nth for nth in range(wish, LAST + 1) if fits(nth)]
    assert calendar.nearest(places, held, hour(wish), timedelta(hours=length), ZERO, hour(LAST)) == (
        hour(before[-1]) if before else None, hour(after[0]) if after else None)
