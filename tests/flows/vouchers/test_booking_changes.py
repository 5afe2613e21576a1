"""Bookings moved and cancelled: whole, once, and with everything given back."""

from decimal import Decimal

from orchestrator.flows.vouchers import booking
from orchestrator.flows.work.durable import work
from orchestrator.lifecycle.account import State
from orchestrator.lifecycle.due import Owed
from orchestrator.store import accounts, sites
from orchestrator.store.sites import Places
from tests.flows import scheme
from tests.flows.booked import DAY, HOUR, MONDAY, SECOND, begun, book, code, free, places
from tests.flows.town import Town


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


def test_a_booking_at_a_drained_site_moves_at_the_same_time(two: Town) -> None:
    """Where its site takes nobody any more, the same beginning is kept at another one."""
    id = book(two)
    with two.store.write() as tx:
        sites.drain(tx, "north", True)
    account = booking.move(two.ctx, id, MONDAY, actor="test")
    assert (account.site, account.begins_at, free(two, MONDAY, "north")) == ("south", MONDAY, 1000)


def test_what_is_being_prepared_is_not_moved(town: Town) -> None:
    """It is at its site already."""
    id = book(town)
    town.advance_to(MONDAY - SECOND)
    town.work()
    assert code(booking.move, town.ctx, id, MONDAY + DAY, actor="test") == "too_late"


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
