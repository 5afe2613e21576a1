"""Booked accounts: nothing before their time, usable at it, moved and cancelled with everything given back."""

from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from orchestrator.flows import booking, operate
from orchestrator.flows.claim import claim
from orchestrator.flows.durable import work
from orchestrator.flows.extend import extend
from orchestrator.lifecycle.account import State
from orchestrator.lifecycle.due import Owed
from orchestrator.lifecycle.errors import RuleError
from orchestrator.lifecycle.periods import Period
from orchestrator.lifecycle.programme import Limit
from orchestrator.store import accounts, capacity, sites
from orchestrator.store.accounts import Filter
from orchestrator.store.sites import Places
from tests.flows import scheme
from tests.flows.town import START, Town, public_key

HOUR, DAY, SECOND = timedelta(hours=1), timedelta(days=1), timedelta(seconds=1)
MONDAY = START + 7 * DAY


def book(town: Town, begins_at: datetime = MONDAY, **more: object) -> str:
    return town.redeem(begins_at=begins_at, **more).account  # type: ignore[arg-type]


def code(act: object, *args: object, **more: object) -> str:
    with pytest.raises(RuleError) as refused:
        act(*args, **more)  # type: ignore[operator]
    return refused.value.code


def places(town: Town, *these: Places) -> None:
    with town.store.write() as tx:
        for site in town.sites:
            sites.put_places(tx, site, [one for one in these if one.site == site])


def free(town: Town, at: datetime, site: str = "north") -> int:
    with town.store.read() as tx:
        return capacity.free(tx, site, town.offer.name, at)


def begun(town: Town, id: str) -> str:
    """Prepared, then at its beginning."""
    prepare_at = town.account(id).prepare_at
    assert prepare_at is not None
    if prepare_at > town.clock.at:
        town.advance_to(prepare_at)
    town.work()
    town.advance_to(MONDAY)
    town.work()
    return town.account(id).state.value


def test_a_booking_is_at_no_site_before_its_time(town: Town) -> None:
    """Nothing is due until shortly before the beginning."""
    id = book(town)
    assert town.work() == 0
    assert town.tenancy(id) is None
    assert town.record(id).due_at == MONDAY - town.offer.provision_within


def test_a_booking_becomes_usable_at_its_time_and_not_before(town: Town) -> None:
    """Prepared with logins closed; opened at the beginning, with the whole of its time ahead."""
    id = book(town)
    town.advance_to(MONDAY - town.offer.provision_within)
    town.work()
    tenancy = town.tenancy(id)
    assert tenancy is not None
    assert (town.account(id).state, tenancy.open) == (State.PROVISIONING, False)
    assert code(claim, town.ctx, id, public_key()) == "not_ready"
    town.advance_to(MONDAY - SECOND)
    assert town.work() == 0
    town.advance_to(MONDAY)
    town.work()
    account = town.account(id)
    assert (account.state, account.starts_at, account.ends_at) == (State.ACTIVE, MONDAY, MONDAY + town.offer.duration)
    claim(town.ctx, id, public_key())


def test_opening_at_the_beginning_runs_no_stack(town: Town) -> None:
    """What is left for a Monday morning with 400 accounts is one command each."""
    id = book(town)
    begun(town, id)
    assert town.stacks.calls == [("up", id)]


def test_a_site_whose_clock_is_behind_opens_late_and_not_early(town: Town) -> None:
    """The slower of both clocks decides."""
    id = book(town)
    town.advance_to(MONDAY - HOUR / 10)
    town.work()
    with town.sites["north"].keeper.held() as world:
        world.offset = -1.5
    town.advance_to(MONDAY)
    town.work()
    assert town.account(id).state is State.PROVISIONING
    town.advance(1.5 * SECOND)
    town.work()
    assert town.account(id).starts_at == MONDAY


def test_a_worker_that_comes_late_loses_the_holder_no_time(town: Town) -> None:
    """The clock starts when the account is usable; past its deadline it has failed."""
    id, lost = book(town), book(town)
    town.advance_to(MONDAY + 5 * timedelta(minutes=1))
    with town.sites["north"].keeper.held() as world:
        world.faults.poisoned = [lost]
    town.work()
    assert town.account(id).starts_at == MONDAY + 5 * timedelta(minutes=1)
    town.advance_to(MONDAY + town.offer.provision_within)
    town.work()
    assert town.account(lost).state is State.FAILED
    assert town.account(lost).provision_by == MONDAY + town.offer.provision_within


def test_warnings_and_the_end_follow_from_the_real_start(town: Town) -> None:
    """Fenced a duration after it began."""
    id = book(town)
    begun(town, id)
    for before in (HOUR, timedelta()):
        town.advance_to(MONDAY + town.offer.duration - before)
        town.work()
    assert town.told(id) == [
        "account.redeemed", "account.usable", "account.warning", "account.fenced", "account.grace_ends"]


def test_a_place_that_is_not_yet_online_can_be_booked(town: Town) -> None:
    """Also for the very instant at which it comes online; preparing then waits for that."""
    places(town, Places("north", town.offer.name, 1, from_=MONDAY))
    assert code(town.redeem) == "no_capacity"
    assert code(book, town, MONDAY - SECOND) == "no_capacity"
    id = book(town)
    assert town.account(id).prepare_at == MONDAY
    assert begun(town, id) == "ACTIVE"


def test_a_refusal_names_the_nearest_dates(town: Town) -> None:
    """Before and after what is taken; the voucher is not touched."""
    places(town, Places("north", town.offer.name, 1))
    book(town)
    length = town.offer.provision_within + town.offer.duration + town.offer.grace
    [voucher] = town.codes()
    with pytest.raises(RuleError) as refused:
        book(town, MONDAY + HOUR, code=voucher)
    assert refused.value.code == "no_capacity"
    found = [datetime.fromisoformat(word.strip(" ,.;")) for word in str(refused.value).split(": ")[-1].split(", ")]
    assert found == [MONDAY - town.offer.provision_within - length, MONDAY + length]
    assert [town.account(book(town, at)).begins_at for at in found] == found


def test_a_place_that_is_booked_is_not_extended_into(town: Town) -> None:
    """What was promised ahead is not given away."""
    places(town, Places("north", town.offer.name, 1))
    now = town.active()
    book(town)
    latest = MONDAY - town.offer.provision_within - town.offer.grace
    assert code(extend, town.ctx, now, to=latest + SECOND, actor="test") == "no_capacity"
    assert extend(town.ctx, now, to=latest, actor="test").ends_at == latest


@pytest.mark.parametrize(("at", "expected"), [(START, "bad_begin"), (START - DAY, "bad_begin"),
                                              (START + 367 * DAY, "bad_begin")])
def test_a_beginning_lies_ahead_and_not_too_far(town: Town, at: datetime, expected: str) -> None:
    """Not now, not before, at most a year ahead."""
    assert code(book, town, at) == expected


def test_cancelling_gives_voucher_place_pool_and_cap_back(town: Town) -> None:
    """As if nothing had been redeemed: the sums are reversed, and the voucher is good again."""
    trial = scheme.programme("nanjing-trial")
    scheme.apply(town, trial)
    voucher = scheme.code(town, trial, "24")
    id = town.redeem(voucher, holder=scheme.FIRM, begins_at=MONDAY).account
    assert scheme.balance(town, "pool/nanjing-trial/ever/hours") == Decimal(-24)
    account = booking.cancel(town.ctx, id, actor="test", why="another day")
    assert (account.state, town.record(id).owed, free(town, MONDAY)) == (State.RECLAIMED, None, 1000)
    assert scheme.balance(town, "pool/nanjing-trial/ever/hours") == 0
    assert scheme.checked(town) == []
    assert town.told(id) == ["account.redeemed", "booking.cancelled"]
    assert town.journalled(id)[-1] == "booking.cancelled"
    assert town.redeem(voucher, holder=scheme.FIRM, begins_at=MONDAY).account != id
    assert booking.cancel(town.ctx, id, actor="test") == town.account(id)


def test_a_booking_that_is_being_prepared_is_cancelled_at_its_site_too(town: Town) -> None:
    """Given back only once the site has shown that nothing is left."""
    [voucher] = town.codes()
    id = book(town, code=voucher)
    town.advance_to(MONDAY - SECOND)
    town.work()
    assert booking.cancel(town.ctx, id, actor="test").state is State.FAILED
    assert code(town.redeem, voucher) == "voucher_used"
    town.work()
    assert town.account(id).state is State.RECLAIMED
    assert town.tenancy(id) is None
    assert town.redeem(voucher).account != id


def test_what_has_begun_is_not_cancelled(town: Town) -> None:
    """Nor what was never booked, nor what nobody knows."""
    id = book(town)
    begun(town, id)
    assert code(booking.cancel, town.ctx, id, actor="test") == "too_late"
    assert code(booking.cancel, town.ctx, town.active(), actor="test") == "not_booked"
    assert code(booking.cancel, town.ctx, "aaaaaaaaaa", actor="test") == "not_found"


def test_a_booking_moves_to_another_time(town: Town) -> None:
    """Its place moves with it; the old one is free."""
    places(town, Places("north", town.offer.name, 1))
    id = book(town)
    later = MONDAY + 30 * DAY
    booking.move(town.ctx, id, later, actor="test")
    account = town.account(id)
    assert (account.begins_at, account.provision_by) == (later, later + town.offer.provision_within)
    assert (free(town, MONDAY), free(town, later)) == (1, 0)
    assert town.told(id) == ["account.redeemed", "booking.moved"]
    assert booking.move(town.ctx, id, later, actor="test") == account


def test_a_move_that_finds_no_place_changes_nothing(town: Town) -> None:
    """It keeps what it had."""
    places(town, Places("north", town.offer.name, 1))
    book(town)
    id = book(town, MONDAY + 30 * DAY)
    assert code(booking.move, town.ctx, id, MONDAY, actor="test") == "no_capacity"
    assert (town.account(id).begins_at, free(town, MONDAY + 30 * DAY)) == (MONDAY + 30 * DAY, 0)


def test_a_booking_may_move_within_its_own_place(town: Town) -> None:
    """It is not in its own way."""
    places(town, Places("north", town.offer.name, 1))
    id = book(town)
    assert booking.move(town.ctx, id, MONDAY + HOUR, actor="test").begins_at == MONDAY + HOUR


def test_a_booking_moves_to_another_site_that_has_room(two: Town) -> None:
    """Its own first."""
    places(two, Places("north", two.offer.name, 1), Places("south", two.offer.name, 1))
    book(two)
    id = book(two, MONDAY + 30 * DAY)
    assert two.account(id).site == "north"
    assert booking.move(two.ctx, id, MONDAY, actor="test").site == "south"


def test_what_is_being_prepared_is_not_moved(town: Town) -> None:
    """It is at its site already."""
    id = book(town)
    town.advance_to(MONDAY - SECOND)
    town.work()
    assert code(booking.move, town.ctx, id, MONDAY + DAY, actor="test") == "too_late"


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


def test_a_worker_that_wakes_up_late_changes_nothing(town: Town) -> None:
    """It took the account up before it was cancelled or moved: its generation is over."""
    id, moved = book(town), book(town)
    town.advance_to(MONDAY - HOUR / 20)
    with town.store.write() as tx:
        taken = {one.account.id: one for one in accounts.claim_due(
            tx, town.clock.at, "late", frozenset({Owed.PROVISION}), 10, SECOND)}
    town.advance(2 * SECOND)
    booking.cancel(town.ctx, id, actor="test")
    booking.move(town.ctx, moved, MONDAY + DAY, actor="test")
    for one in taken.values():
        work(town.ctx, one)
    assert (town.account(id).state, town.account(moved).state) == (State.RECLAIMED, State.REQUESTED)
    assert (town.tenancy(id), town.tenancy(moved)) == (None, None)


def test_bookings_are_found(town: Town) -> None:
    """Those that are yet to begin."""
    id = book(town)
    town.active()
    with town.store.read() as tx:
        found = accounts.select(tx, Filter(beginning_after=town.clock.at))
    assert [one.id for one in found] == [id]


def test_a_programme_whose_accounts_all_begin_at_one_time(town: Town) -> None:
    """Who redeems before waits for it; who redeems later begins at once; nobody chooses."""
    course = scheme.programme("nanjing-trial", begins_at=MONDAY, cap=Limit(Period.EVER))
    scheme.apply(town, course)
    id = scheme.redeem(town, course, "24").account
    assert town.account(id).begins_at == MONDAY
    assert code(scheme.redeem, town, course, "24", begins_at=MONDAY + DAY) == "begin_fixed"
    assert code(booking.move, town.ctx, id, MONDAY + DAY, actor="test") == "begin_fixed"
    town.advance_to(MONDAY)
    assert town.account(scheme.redeem(town, course, "24").account).begins_at is None


def test_a_programme_in_which_a_beginning_must_be_chosen(town: Town) -> None:
    """`clock: scheduled`, and not farther ahead than it says."""
    trial = scheme.programme("nanjing-trial", scheduled=True, book_ahead=14 * DAY)
    scheme.apply(town, trial)
    assert code(scheme.redeem, town, trial, "24") == "begin_missing"
    assert code(scheme.redeem, town, trial, "24", begins_at=START + 15 * DAY) == "bad_begin"
    assert town.account(scheme.redeem(town, trial, "24", begins_at=MONDAY).account).begins_at == MONDAY
