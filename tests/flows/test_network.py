"""The published network: tiers of sites, and capacity that is booked before it is online."""

from datetime import UTC, datetime, timedelta

import pytest

from orchestrator.flows.apply import apply
from orchestrator.flows.documents import Documents, read
from orchestrator.flows.yaml_fields import BadDocument
from orchestrator.store import capacity
from tests.flows.scheme import EXAMPLES, example
from tests.flows.town import Town

ONLINE = datetime(2027, 6, 30, 16, tzinfo=UTC)
"""The first of July in Shanghai."""
DAY = timedelta(days=1)


@pytest.fixture
def network(town: Town) -> Town:
    offers = read((EXAMPLES.parent / "offers.yaml").read_text("utf-8"), "offers.yaml", ["memory"], town.clock.at)
    apply(town.ctx, Documents() + offers + example("jiangsu-sites.yaml"), dry_run=False)
    return town


def test_the_three_tiers_are_hub_city_and_edge() -> None:
    """2 national hubs, N city data centres, X edge nodes."""
    assert [site.tier for site in example("jiangsu-sites.yaml").sites] == ["hub", "hub", "city", "edge"]


def test_another_tier_is_refused() -> None:
    """There is no fourth."""
    with pytest.raises(BadDocument, match="'cloud' is not one of hub, city, edge"):
        read("sites:\n  - {name: a, kind: memory, tier: cloud}\n", "f", ["memory"], ONLINE)


def test_capacity_is_80_and_then_180_places(network: Town) -> None:
    """To the second: 0.8 EFLOPS until the first of July, then 1.8 in all."""
    with network.store.read() as tx:
        assert [capacity.free(tx, "nanjing", "starter", at) for at in (ONLINE - timedelta(seconds=1), ONLINE)] == [
            80, 180]


def test_what_is_not_online_yet_is_booked_and_never_oversold(network: Town) -> None:
    """180 bookings for the day it comes online, and not one more; a day before there are 80."""
    with network.store.write() as tx:
        for start, places in ((ONLINE, 180), (ONLINE - 2 * DAY, 80)):
            got = [capacity.hold(tx, f"{start:%d}-{nth}", "nanjing", "starter", start, start + DAY,
                                 now=network.clock.at) for nth in range(places + 1)]
            assert got == [True] * places + [False]


def test_a_booking_that_reaches_back_before_it_is_online_is_refused(network: Town) -> None:
    """81 places from the day before: the 81st is not there yet."""
    with network.store.write() as tx:
        got = [capacity.hold(tx, f"b-{nth}", "nanjing", "starter", ONLINE - DAY, ONLINE + DAY, now=network.clock.at)
               for nth in range(81)]
    assert got == [True] * 80 + [False]
