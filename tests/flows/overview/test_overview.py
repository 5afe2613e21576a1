"""The operators' view of everything: one function over the store, each figure against rows that are known."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from orchestrator.flows.overview.fences import MOST, fences_of
from orchestrator.flows.overview.model import Level, Overview, day_edges, hour_edges, look
from orchestrator.lifecycle.account import State
from orchestrator.lifecycle.due import Owed
from orchestrator.store.engine import Store
from orchestrator.store.overview import FenceAt
from orchestrator.store.seal import Keyring
from tests.entry import evening

SHANGHAI = ZoneInfo("Asia/Shanghai")
NOW = datetime(2026, 11, 27, 11, 42, 7, tzinfo=UTC)
"""A Friday evening, 19:42 in Nanjing."""


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Overview]:
    """The evening, looked at once."""
    folder: Path = tmp_path_factory.mktemp("overview")
    store = Store(f"sqlite:///{folder}/tenure.db", Keyring.new())
    store.migrate()
    evening.furnish(store, NOW)
    with store.read() as tx:
        yield look(tx, NOW, SHANGHAI)
    store.close()


def test_states_are_counted(seen: Overview) -> None:
    """All sites together."""
    assert {state: count for state, count in seen.live.items() if count} == {
        State.PROVISIONING: 1, State.ACTIVE: 463, State.CONTRACTED: 30, State.FENCED: 77, State.RECLAIMING: 6}


def test_the_sunday_stands_out(seen: Overview) -> None:
    """Four hundred accounts end on it, a quarter of them at one site; the ends of all days add up."""
    sunday = seen.days[2]
    assert f"{sunday.at.astimezone(SHANGHAI):%A %H:%M}" == "Sunday 00:00"
    assert (sunday.count, sunday.by_site["wuxi-hpc"]) == (400, 100)
    assert sum(day.count for day in seen.days) == 491


def test_hours_cover_exactly_a_day(seen: Overview) -> None:
    """From now to now tomorrow, cut at the full hours; what ends in them is what the sites say."""
    assert (seen.hours[0].at, seen.hours[-1].until) == (NOW, NOW + timedelta(hours=24))
    assert [piece.at for piece in seen.hours[1:]] == [piece.until for piece in seen.hours[:-1]]
    assert sum(piece.count for piece in seen.hours) == sum(site.ending for site in seen.sites)


def test_alarms_come_in_the_order_of_their_urgency(seen: Overview) -> None:
    """Past the end; what else waits for a person, or for a worker; then what Tenure tries again by itself."""
    assert [(one.kind, one.site, one.count, one.who) for one in seen.alarms] == [
        ("unfenced", "wuxi-hpc", 3, "operator"), ("silent", "wuxi-hpc", 129, "operator"),
        ("stuck", "nanjing", 1, "operator"), ("waiting", "", 22, "operator"),
        ("stuck", "wuxi-hpc", 6, "tenure"), ("callback", "", 5, "tenure")]
    assert seen.level is Level.NEEDS_YOU


def test_each_alarm_says_what_to_type(seen: Overview) -> None:
    """The accounts' site, the one account, the worker, the sender."""
    alone = seen.alarms[2].accounts[0]
    assert [one.command for one in seen.alarms] == [
        "tenure site check wuxi-hpc", "tenure site check wuxi-hpc", f"tenure account show {alone} --history",
        "tenure worker", "tenure site check wuxi-hpc", "tenure sender test city-portal"]


def test_an_account_stands_in_one_alarm(seen: Overview) -> None:
    """Those past their end are not told of a second time as stuck."""
    named = [account for one in seen.alarms for account in one.accounts]
    assert len(named) == len(set(named))


def test_sites_say_what_is_there(seen: Overview) -> None:
    """In the operator's order, with what does not work."""
    assert [(one.name, one.drained, one.stuck, one.unfenced) for one in seen.sites] == [
        ("nanjing", False, 1, 0), ("wuxi-hpc", False, 9, 3), ("yangzhou-edge", True, 0, 0)]


def test_places_taken_booked_and_to_come(seen: Overview) -> None:
    """Thirty are taken today; bookings start later; a hundred more places are not online yet. Each day at its fullest:
    the new places come at 19:42, so the day on which they come counts without them, and bookings begin at 19:42."""
    large = seen.sites[0].places[0]
    assert (large.offer, large.today.places, large.today.taken, large.today.free, large.today.booked) == (
        "ascend-8", 40, 30, 10, 0)
    assert [day.places for day in large.days] == [40] * 6 + [140] * 8
    assert [day.booked for day in large.days] == [0] * 6 + [9, 17, 25, 25, 25, 25, 25, 0]
    assert [day.coming for day in large.days] == [100] * 6 + [0] * 8
    assert [(one.site, one.count) for one in seen.coming] == [("nanjing", 100)]


def test_an_overdue_place_is_taken_until_it_is_given_back(seen: Overview) -> None:
    """None is overdue on this evening, and every live account has its place."""
    assert sum(offer.today.taken for site in seen.sites for offer in site.places) == sum(
        sum(site.live.values()) for site in seen.sites)
    assert {offer.overdue for site in seen.sites for offer in site.places} == {0}


def test_owed_and_unsent(seen: Overview) -> None:
    """What no worker takes up, and what a portal has not heard."""
    assert {what.value: one.count for what, one in seen.waiting.items() if one.count} == {
        Owed.PROVISION: 1, Owed.WARN: 15, Owed.RECLAIM: 6}
    assert (seen.unsent, [one.sender for one in seen.senders]) == (5, ["city-portal"])


def test_fences_are_held_against_what_was_promised(seen: Overview) -> None:
    """82 ends of the week, most of them within a second, the slowest named first."""
    assert (seen.fences.count, seen.fences.early) == (82, 0)
    assert [(bucket.upto.total_seconds() if bucket.upto else None, bucket.count) for bucket in seen.fences.buckets] == [
        (0.1, 37), (1, 40), (2, 2), (10, 1), (60, 1), (600, 1), (None, 0)]
    assert [round(one.lag.total_seconds(), 1) for one in seen.fences.worst[:3]] == [312, 44, 6]


def test_a_fence_before_the_end_is_no_lag() -> None:
    """An operator's fence that reached the end stood there long before it."""
    found = fences_of([FenceAt("a1", "s", NOW, NOW - timedelta(hours=1)), FenceAt("a2", "s", NOW, NOW)])
    assert (found.count, found.early, found.p99) == (1, 1, timedelta())


def test_figures_of_more_fences_than_are_read_say_so() -> None:
    """They are the latest, the first of those that were found; one more is there."""
    latest = [FenceAt("new", "s", NOW, NOW)] * MOST
    assert (fences_of(latest).capped, fences_of(latest).count) == (False, MOST)
    found = fences_of([*latest, FenceAt("old", "s", NOW, NOW + timedelta(hours=1))])
    assert (found.capped, found.count, found.worst[0].account) == (True, MOST, "new")


def test_percentiles_are_lags_that_were_seen() -> None:
    """Of a hundred fences with 1 to 100 ms: the fiftieth and the ninety-ninth."""
    found = fences_of([FenceAt("a", "s", NOW, NOW + timedelta(milliseconds=nth)) for nth in range(1, 101)])
    assert (found.p50, found.p99) == (timedelta(milliseconds=50), timedelta(milliseconds=99))


def test_no_fences_have_no_percentiles() -> None:
    """Nothing is not zero."""
    assert (fences_of([]).p50, fences_of([]).count) == (None, 0)


@pytest.mark.parametrize("zone", ["Asia/Shanghai", "Asia/Kolkata", "America/New_York", "Australia/Lord_Howe"])
@pytest.mark.parametrize("at", [datetime(2026, 3, 8, 6, 30, tzinfo=UTC), datetime(2026, 11, 1, 5, 59, tzinfo=UTC),
                                datetime(2027, 2, 28, 16, tzinfo=UTC), datetime(2026, 4, 4, 14, 59, tzinfo=UTC)])
def test_edges_rise_in_every_zone(zone: str, at: datetime) -> None:
    """Also where a day has 23 or 25 hours, or the hour begins at half past."""
    where = ZoneInfo(zone)
    for edges in (hour_edges(at, where), day_edges(at, where)):
        instants = [edge.astimezone(UTC) for edge in edges]
        assert all(one < two for one, two in zip(instants, instants[1:], strict=False))
    assert hour_edges(at, where)[-1] == at + timedelta(hours=24)
