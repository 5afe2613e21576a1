"""Readings of meters: the same rows in whatever order they come, and nothing that was read is ever lost."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete

from orchestrator.lifecycle.account import State
from orchestrator.lifecycle.outage import Outage, Outcome
from orchestrator.lifecycle.usage import Measured, UsageRow
from orchestrator.store import outages, tables, usage
from orchestrator.store.outages import Credit
from orchestrator.store.usage import Lower
from tests.store.making import HOUR, NOW, World, active, number

MINUTE = timedelta(minutes=1)
ID = number(0)


def measured(minutes: int = 60, covered: int | None = None, hour: int = 0, **amounts: int) -> Measured:
    """The first minutes of an hour after NOW."""
    since = NOW + hour * HOUR
    return Measured(since, since + minutes * MINUTE, (minutes if covered is None else covered) * MINUTE, amounts)


def put(world: World, *intervals: Measured, at: datetime = NOW) -> list[Lower]:
    with world.store.write() as tx:
        return usage.put(tx, ID, intervals, at)


def rows(world: World, since: datetime = NOW, until: datetime = NOW + 100 * HOUR) -> list[UsageRow]:
    with world.store.read() as tx:
        return usage.rows(tx, ID, since, until)


@pytest.fixture
def metered(world: World) -> World:
    world.add(active())
    return world


def test_an_hour_grows_as_it_is_read(metered: World) -> None:
    """Half an hour, then all of it: one row for each meter."""
    put(metered, measured(30, cpu=100, egress=5))
    put(metered, measured(60, cpu=250, egress=5), at=NOW + HOUR)
    assert [(row.meter, row.amount, int(row.covered.total_seconds())) for row in rows(metered)] == [
        ("cpu", 250, 3600), ("egress", 5, 3600)]


def test_a_meter_that_was_not_read_has_no_row(metered: World) -> None:
    """A gap is no zero."""
    put(metered, measured(cpu=1), measured(hour=1, cpu=1, egress=0))
    assert [(row.meter, row.hour) for row in rows(metered)] == [
        ("cpu", NOW), ("cpu", NOW + HOUR), ("egress", NOW + HOUR)]


def test_a_site_that_says_less_does_not_erase(metered: World) -> None:
    """What was read stays, and the lower answer is told."""
    put(metered, measured(60, cpu=250))
    assert put(metered, measured(60, cpu=10)) == [Lower("cpu", NOW, 250, 10)]
    assert rows(metered)[0].amount == 250


def test_an_older_reading_that_comes_late_is_not_a_lower_answer(metered: World) -> None:
    """It had measured less of the hour."""
    put(metered, measured(60, cpu=250))
    assert put(metered, measured(30, cpu=100)) == []


def test_rows_of_a_period_are_those_whose_hour_begins_in_it(metered: World) -> None:
    """The end is not part of it."""
    put(metered, *(measured(hour=hour, cpu=hour) for hour in range(4)))
    assert [row.amount for row in rows(metered, NOW + HOUR, NOW + 3 * HOUR)] == [1, 2]


def test_totals_are_exact_beyond_64_bits(metered: World) -> None:
    """Byte-seconds of a large storage."""
    put(metered, *(measured(hour=hour, storage=2**62) for hour in range(5)))
    with metered.store.read() as tx:
        assert usage.totals(tx, ID) == {"storage": 5 * 2**62}


@pytest.mark.parametrize("bad", [
    measured(61, cpu=1), measured(60, 62, cpu=1), measured(cpu=-1), measured(cpu=2**63), measured(gpu=1),
    Measured(NOW, NOW - MINUTE, timedelta(), {"cpu": 1}),
])
def test_what_cannot_be_a_reading_is_refused_whole(metered: World, bad: Measured) -> None:
    """Nothing of it is kept."""
    with pytest.raises(ValueError, match="cpu|gpu|hour|measured of"):
        put(metered, measured(hour=1, cpu=1), bad)
    assert rows(metered) == []


ONE = st.builds(
    lambda hour, minutes, share, amounts: measured(minutes, minutes * share // 4, hour, **amounts),
    st.integers(0, 2), st.integers(1, 60), st.integers(0, 4),
    st.dictionaries(st.sampled_from(["cpu", "memory", "egress"]), st.integers(0, 2**63 - 1)))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), readings=st.lists(ONE, max_size=8))
def test_readings_in_any_order_and_number_make_the_same_rows(metered: World, data: st.DataObject,
                                                             readings: list[Measured]) -> None:
    """Shuffled, repeated, cut into other calls: the same."""

    def after(*calls: list[Measured]) -> list[UsageRow]:
        with metered.store.write() as tx:
            tx.execute(delete(tables.usage))
            for call in calls:
                usage.put(tx, ID, call, NOW)
            return usage.rows(tx, ID, NOW, NOW + 100 * HOUR)

    other = data.draw(st.permutations(readings))
    cut = data.draw(st.integers(0, len(other)))
    assert after(readings) == after(other[:cut], other[cut:], other)


def test_leases_in_a_period(world: World) -> None:
    """Those that were there at some time of it: not yet begun, or gone before, are left out."""
    world.add(active(0), active(1, starts_at=NOW + 5 * HOUR),
              active(2, state=State.RECLAIMED, since=NOW + HOUR), active(3, state=State.RECLAIMED, since=NOW - HOUR))
    with world.store.read() as tx:
        found = [record.id for record in usage.leases_in(tx, NOW, NOW + 2 * HOUR)]
        one = [record.id for record in usage.leases_in(tx, NOW, NOW + 2 * HOUR, account=number(2))]
        elsewhere = usage.leases_in(tx, NOW, NOW + 2 * HOUR, site="wuxi")
        second = [record.id for record in usage.leases_in(tx, NOW, NOW + 2 * HOUR, after=number(0), limit=1)]
    assert (found, one, elsewhere, second) == ([number(0), number(2)], [number(2)], [], [number(2)])


def outage(id: str, since: float, until: float) -> Outage:
    return Outage(id, "nanjing", NOW + since * HOUR, NOW + until * HOUR, "operator", "power", NOW)


def tell(world: World, *these: Outage, outcome: Outcome = Outcome.BILL) -> None:
    with world.store.write() as tx:
        for one in these:
            outages.add(tx, one)
            outages.credit(tx, Credit(ID, one.id, 0, outcome, NOW))


def credited(world: World, since: float, until: float) -> int:
    with world.store.read() as tx:
        return outages.credited_seconds(tx, ID, NOW + since * HOUR, NOW + until * HOUR)


def test_an_outage_is_known_once(metered: World) -> None:
    """The same one again says so."""
    with metered.store.write() as tx:
        assert [outages.add(tx, outage("o", 1, 2)) for _ in range(2)] == [True, False]


def test_hours_not_counted_are_those_of_the_period(metered: World) -> None:
    """Cut at the month's edges."""
    tell(metered, outage("o", 1, 5))
    assert [credited(metered, *period) for period in ((0, 10), (2, 3), (4, 10), (5, 9))] == [
        4 * 3600, 3600, 3600, 0]


def test_what_lies_in_two_outages_is_left_out_once(metered: World) -> None:
    """The site's own word and the operator's about the same night."""
    tell(metered, outage("a", 1, 5), outage("b", 0, 3))
    assert credited(metered, 0, 10) == 5 * 3600


def test_a_trials_credit_is_not_the_contracts(metered: World) -> None:
    """Its end was moved: the bill leaves out nothing."""
    tell(metered, outage("a", 1, 5), outcome=Outcome.EXTENDED)
    assert credited(metered, 0, 10) == 0


def credit(world: World, outcome: Outcome, seconds: int = 0) -> Any:
    with world.store.write() as tx:
        return outages.credit(tx, Credit(ID, "o", seconds, outcome, NOW))


def test_an_account_is_credited_once_for_an_outage(metered: World) -> None:
    """The second changes nothing."""
    tell(metered, outage("o", 1, 2), outcome=Outcome.EXTENDED)
    assert credit(metered, Outcome.FENCED, 7) is False
    with metered.store.read() as tx:
        assert outages.credits_of(tx, ID) == [Credit(ID, "o", 0, Outcome.EXTENDED, NOW)]


def test_without_a_place_it_is_decided_again(metered: World) -> None:
    """Until it is decided for good."""
    tell(metered, outage("o", 1, 2), outcome=Outcome.NO_PLACE)
    assert [credit(metered, outcome) for outcome in (Outcome.NO_PLACE, Outcome.EXTENDED, Outcome.NO_PLACE)] == [
        False, True, False]
