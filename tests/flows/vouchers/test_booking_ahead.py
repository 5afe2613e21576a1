"""Nanjing's capacity as the examples have it: 80 × 10^16 now, 180 × 10^16 in all from a day on; all of it can be booked
before it is online, and not one place more."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from orchestrator.lifecycle.account import State
from orchestrator.store.sites import ALWAYS, SINCE_EVER, Places
from tests.flows import scheme
from tests.flows.booked import HOUR, places
from tests.flows.town import Town, town

ONLINE = datetime(2027, 6, 30, 16, 0, tzinfo=UTC)
"""The first of July 2027 in Nanjing."""


@pytest.fixture
def nanjing(tmp_path: Path) -> Iterator[Town]:
    """The example's site with its places, and the example's programme."""
    with town(tmp_path / "home", ("nanjing",)) as made:
        site = scheme.example("jiangsu-sites.yaml").sites[0]
        assert site.places is not None
        places(made, *(Places(site.name, made.offer.name, place.count, place.start or SINCE_EVER, place.until or ALWAYS)
                       for place in site.places))
        scheme.apply(made, scheme.programme("nanjing-ahead"))
        yield made


def test_all_180_are_booked_before_they_are_online_and_none_more(nanjing: Town) -> None:
    """From an hour before the new capacity 80 and no 81st; at its first instant 100 more and no 181st. At that instant
    all 180 are usable."""
    of = scheme.programme("nanjing-ahead")
    came = [scheme.at_once(nanjing, of, "24", count, begins_at=at) for count, at in (
        (81, ONLINE - HOUR), (101, ONLINE))]
    assert came == [{"given": 80, "no_capacity": 1}, {"given": 100, "no_capacity": 1}]
    for at in (ONLINE - HOUR - nanjing.offer.provision_within, ONLINE - HOUR, ONLINE):
        nanjing.advance_to(at)
        nanjing.work()
    assert [record.account.state for record in nanjing.all()] == [State.ACTIVE] * 180


def test_booking_is_for_the_180_days_that_the_example_says(nanjing: Town) -> None:
    """The last instant is booked, a second later is refused with the figure."""
    of = scheme.programme("nanjing-ahead")
    last = nanjing.clock.at + of.book_ahead
    assert nanjing.account(scheme.redeem(nanjing, of, "96", begins_at=last).account).begins_at == last
    assert scheme.at_once(nanjing, of, "96", 1, begins_at=last + HOUR / 3600) == {"bad_begin": 1}
