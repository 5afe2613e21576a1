"""The published network: tiers of sites, and capacity that is booked before it is online."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from orchestrator.flows.documents.apply import apply
from orchestrator.flows.documents.fields import BadDocument
from orchestrator.flows.documents.reading import Documents, read
from orchestrator.flows.vouchers import entitlement
from orchestrator.lifecycle import times
from orchestrator.lifecycle.errors import RuleError
from orchestrator.store import calendar, capacity, vouchers
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


def test_180_vouchers_are_booked_before_the_capacity_is_online(network: Town) -> None:
    """0.8 EFLOPS, then 1.8: 180 redemptions months ahead get the first of July, the next is told the nearest date that
    is free, and nothing is at the site before."""
    apply(network.ctx, example("nanjing-ahead.yaml"), dry_run=False)
    programme = example("nanjing-ahead.yaml").programmes[0]
    assert (programme.scheduled, programme.book_ahead) == (True, 180 * DAY)
    network.advance_to(ONLINE - 90 * DAY)
    with network.store.write() as tx:
        digests = [vouchers.new_code() for _ in range(181)]
        entitlement.issue(tx, network.sender.id, programme, digests, Decimal(24), network.clock.at,
                          network.clock.at + programme.valid_for)
    booked = [network.redeem(code, begins_at=ONLINE).account for code in digests[:180]]
    assert {network.account(id).site for id in booked} == {"nanjing"}
    with pytest.raises(RuleError, match="nearest beginnings with a place") as refused:
        network.redeem(digests[180], begins_at=ONLINE)
    after = ONLINE + timedelta(minutes=10) + DAY + 3 * DAY
    assert after.astimezone(times.zone()).isoformat() in str(refused.value)
    assert network.redeem(digests[180], begins_at=after).account
    # Those who have a place that is there already are prepared in the last minutes of June.
    with network.store.read() as tx:
        [one] = calendar.days(tx, date(2027, 6, 30), 2, network.clock.at, times.zone(), "nanjing", "starter")
    assert [(day.places, day.booked, day.free, day.coming) for day in one.days] == [(80, 80, 0, 100), (180, 180, 0, 0)]
    assert network.work() == 0


def test_a_booking_that_reaches_back_before_it_is_online_is_refused(network: Town) -> None:
    """81 places from the day before: the 81st is not there yet."""
    with network.store.write() as tx:
        got = [capacity.hold(tx, f"b-{nth}", "nanjing", "starter", ONLINE - DAY, ONLINE + DAY, now=network.clock.at)
               for nth in range(81)]
    assert got == [True] * 80 + [False]
