"""A booking whose site has changed by its time: another site, or stuck and failed as any account."""

from datetime import timedelta

from orchestrator.flows.accounts import operate
from orchestrator.lifecycle.account import State
from orchestrator.store import sites
from orchestrator.store.sites import Places
from tests.flows.booked import HOUR, MONDAY, SECOND, begun, book, places
from tests.flows.town import Town


def test_a_site_that_was_drained_meanwhile_gets_no_booked_account(two: Town) -> None:
    """Another one with a place at that time gets it."""
    id = book(two)
    with two.store.write() as tx:
        sites.drain(tx, "north", True)
    assert begun(two, id) == "ACTIVE"
    assert (two.account(id).site, two.account(id).starts_at) == ("south", MONDAY)
    assert two.ctx.sites.avoided(two.clock.at) == frozenset()


def test_a_site_that_fails_at_the_time_is_left_for_another(two: Town) -> None:
    """As for any account, and still on time."""
    id = book(two)
    two.advance_to(MONDAY - two.offer.provision_within)
    with two.sites["north"].keeper.held() as world:
        world.faults.dead = True
    assert begun(two, id) == "ACTIVE"
    assert (two.account(id).site, two.account(id).starts_at) == ("south", MONDAY)


def test_with_nowhere_to_go_a_booking_is_stuck_and_then_fails(town: Town) -> None:
    """The mark says why; the voucher is usable again."""
    [voucher] = town.codes()
    id = book(town, code=voucher)
    with town.store.write() as tx:
        sites.drain(tx, "north", True)
    town.advance_to(MONDAY)
    town.work()
    stuck = town.record(id).stuck
    assert stuck is not None
    assert (stuck.next, "drain" in stuck.remedy) == ("operator", True)
    town.advance_to(MONDAY + town.offer.provision_within)
    town.work()
    assert town.account(id).state is State.RECLAIMED
    with town.store.write() as tx:
        sites.drain(tx, "north", False)
    assert town.redeem(voucher).account != id


def test_a_place_that_is_still_taken_is_not_used_twice(town: Town) -> None:
    """An account that should be gone and is not: the booking waits, and begins once it is gone."""
    places(town, Places("north", town.offer.name, 1))
    before = town.active()
    begins = town.clock.at + town.offer.duration + town.offer.grace + HOUR
    id = book(town, begins)
    with town.sites["north"].keeper.held() as world:
        world.faults.unlisted = ["cron"]
    for at in (town.clock.at + town.offer.duration, begins - HOUR, begins):
        town.advance_to(at)
        town.work()
    assert (town.account(before).state, town.account(id).state) == (State.RECLAIMING, State.REQUESTED)
    assert town.tenancy(id) is None
    with town.sites["north"].keeper.held() as world:
        world.faults.unlisted = []
    operate.hold(town.ctx, False, actor="test")
    town.advance(timedelta(minutes=5))
    town.work()
    town.work()
    town.advance(timedelta(minutes=4))
    town.work()
    assert (town.account(before).state, town.account(id).state) == (State.RECLAIMED, State.ACTIVE)


def test_places_taken_away_leave_those_who_booked_first(town: Town) -> None:
    """Three booked, two places are left: two begin."""
    places(town, Places("north", town.offer.name, 3))
    ids = [book(town, MONDAY + nth * SECOND) for nth in range(3)]
    places(town, Places("north", town.offer.name, 2))
    town.advance_to(MONDAY + 3 * SECOND)
    town.work()
    assert [town.account(id).state for id in ids] == [State.ACTIVE, State.ACTIVE, State.REQUESTED]
