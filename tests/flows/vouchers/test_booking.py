"""Booked accounts: nothing before their time, usable at it, a place at every instant of it."""

from datetime import datetime, timedelta

import pytest

from orchestrator.flows.accounts.extend import extend
from orchestrator.flows.vouchers import booking
from orchestrator.flows.vouchers.claim import claim
from orchestrator.lifecycle.account import State
from orchestrator.lifecycle.errors import RuleError
from orchestrator.lifecycle.periods import Period
from orchestrator.lifecycle.programme import Limit
from orchestrator.store import accounts
from orchestrator.store.accounts import Filter
from orchestrator.store.sites import Places
from tests.flows import scheme
from tests.flows.booked import DAY, HOUR, MONDAY, SECOND, begun, book, code, places
from tests.flows.town import START, Town, public_key


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


@pytest.mark.parametrize(("ahead", "told"), [(12 * DAY, 2), (9 * DAY, 1), (timedelta(), 0)])
def test_a_refusal_names_no_date_that_the_programme_forbids(town: Town, ahead: timedelta, told: int) -> None:
    """`book_ahead` bounds what is named as it bounds what is wished; each of those named can be booked, also by
    moving a booking."""
    places(town, Places("north", town.offer.name, 1))
    taken = book(town)
    trial = scheme.programme("nanjing-trial", book_ahead=ahead, cap=Limit(Period.EVER))
    scheme.apply(town, trial)
    if not ahead:
        town.active()
    with pytest.raises(booking.NoPlace) as refused:
        scheme.redeem(town, trial, "24", begins_at=MONDAY + HOUR if ahead else None)
    assert len(refused.value.nearest) == told
    made = [scheme.redeem(town, trial, "24", begins_at=at).account for at in refused.value.nearest]
    for id in made:
        with pytest.raises(booking.NoPlace) as moved:
            booking.move(town.ctx, id, MONDAY + HOUR, actor="test")
        assert all(at <= START + ahead for at in moved.value.nearest)
    assert town.account(taken).begins_at == MONDAY


def test_who_all_begin_together_are_told_no_other_date(town: Town) -> None:
    """A course that is full."""
    places(town, Places("north", town.offer.name, 1))
    course = scheme.programme("nanjing-trial", begins_at=MONDAY, cap=Limit(Period.EVER))
    scheme.apply(town, course)
    scheme.redeem(town, course, "24")
    with pytest.raises(booking.NoPlace) as refused:
        scheme.redeem(town, course, "24")
    assert (refused.value.nearest, "nearest" in str(refused.value)) == ((), False)


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


def test_four_hundred_begin_together_and_none_before(town: Town) -> None:
    """A Monday at nine: prepared in the minutes before, opened at nine without a stack run, every one for its time."""
    ids = [book(town, code=code) for code in town.codes(400)]
    town.advance_to(MONDAY - town.offer.provision_within)
    town.work()
    assert {town.account(id).state for id in ids} == {State.PROVISIONING}
    with town.sites["north"].keeper.held() as world:
        assert not any(tenancy.open for tenancy in world.tenancies.values())
    prepared = len(town.stacks.calls)
    town.advance_to(MONDAY)
    town.work()
    assert {(town.account(id).state, town.account(id).starts_at) for id in ids} == {(State.ACTIVE, MONDAY)}
    assert len(town.stacks.calls) == prepared == 400
