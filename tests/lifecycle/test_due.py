"""What is owed is derived from state and time, in one place."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.lifecycle.account import USABLE, Account, FencedBy, State
from orchestrator.lifecycle.due import Due, Owed, due_now, next_due
from tests.lifecycle.making import END, HOUR, NOW, OFFER, account

FIRST, SECOND = END - HOUR, END - HOUR / 6
BOOKED = {"prepare_at": NOW + HOUR, "begins_at": NOW + 2 * HOUR}


@pytest.mark.parametrize(("seen", "owed"), [
    (account(State.REQUESTED), Due(Owed.PROVISION, NOW)),
    (account(State.PROVISIONING), Due(Owed.PROVISION, NOW)),
    (account(State.REQUESTED, **BOOKED), Due(Owed.PROVISION, NOW + HOUR)),
    (account(State.PROVISIONING, **BOOKED), Due(Owed.PROVISION, NOW)),
    (account(State.PROVISIONING, prepared_at=NOW, **BOOKED), Due(Owed.PROVISION, NOW + 2 * HOUR)),
    (account(State.ACTIVE, **BOOKED), Due(Owed.WARN, FIRST)),
    (account(State.ACTIVE), Due(Owed.WARN, FIRST)),
    (account(State.ACTIVE, warned=1), Due(Owed.WARN, SECOND)),
    (account(State.ACTIVE, warned=2), Due(Owed.FENCE, END)),
    (account(State.CONTRACTED, warned=2), Due(Owed.FENCE, END)),
    (account(State.ACTIVE, convert_asked=True), Due(Owed.CONVERT, NOW)),
    (account(State.ACTIVE, reclaim_asked=True), Due(Owed.FENCE, NOW)),
    (account(State.ACTIVE, warned=2, hold=True), Due(Owed.FENCE, END)),
    (account(State.FENCED, fenced_by=FencedBy.END), Due(Owed.RECLAIM, END + OFFER.grace)),
    (account(State.FENCED, fenced_by=FencedBy.END, hold=True), None),
    (account(State.FENCED, fenced_by=FencedBy.END, convert_asked=True), Due(Owed.CONVERT, NOW)),
    (account(State.FENCED, fenced_by=FencedBy.END, reclaim_asked=True), Due(Owed.RECLAIM, NOW)),
    (account(State.FENCED, fenced_by=FencedBy.END, reclaim_asked=True, hold=True), None),
    (account(State.FENCED, fenced_by=FencedBy.OPERATOR), Due(Owed.FENCE, END)),
    (account(State.FENCED, fenced_by=FencedBy.OPERATOR, hold=True), Due(Owed.FENCE, END)),
    (account(State.FAILED), Due(Owed.RECLAIM, NOW)),
    (account(State.FAILED, hold=True), None),
    (account(State.RECLAIMING), Due(Owed.RECLAIM, NOW)),
    (account(State.RECLAIMED), None),
], ids=str)
def test_the_next_thing_owed(seen: Account, owed: Due | None) -> None:
    """Each state owes one thing, at one time."""
    assert next_due(seen) == owed


def test_a_pause_delays_the_work_that_failed() -> None:
    """A warning that failed is tried again later."""
    assert next_due(account(State.ACTIVE), Due(Owed.WARN, FIRST + HOUR / 2)) == Due(Owed.WARN, FIRST + HOUR / 2)


def test_a_pause_delays_nothing_else() -> None:
    """What failed earlier holds up no other work."""
    seen = account(State.FENCED, fenced_by=FencedBy.END)
    assert next_due(seen, Due(Owed.CONVERT, END + 9 * OFFER.grace)) == Due(Owed.RECLAIM, END + OFFER.grace)


@pytest.mark.parametrize("seen", [account(State.ACTIVE), account(State.ACTIVE, convert_asked=True)], ids=str)
def test_nothing_stands_in_the_way_of_a_fence(seen: Account) -> None:
    """A warning or conversion put off past the end gives way, at the end."""
    owed = next_due(seen)
    assert owed is not None
    assert next_due(seen, Due(owed.what, END + HOUR)) == Due(Owed.FENCE, END)


def test_a_fence_that_failed_waits_for_its_own_pause() -> None:
    """And the warning that it overtook does not come back."""
    assert next_due(account(State.ACTIVE), Due(Owed.FENCE, END + HOUR)) == Due(Owed.FENCE, END + HOUR)


@pytest.mark.parametrize(("now", "owed"), [(FIRST, Owed.WARN), (END - HOUR / 3600, Owed.WARN), (END, Owed.FENCE)])
def test_at_the_end_a_late_warning_is_a_fence(now: object, owed: Owed) -> None:
    """At the very instant of the end it is the fence."""
    due = due_now(account(State.ACTIVE), now)  # type: ignore[arg-type]
    assert due is not None
    assert due.what is owed


accounts = st.builds(account, st.sampled_from(State), warned=st.integers(0, 3), convert_asked=st.booleans(),
                     reclaim_asked=st.booleans(), hold=st.booleans(), fenced_by=st.sampled_from(FencedBy))


@given(accounts)
def test_a_usable_account_always_owes_something_by_its_end(seen: Account) -> None:
    """Whatever was asked, warned or held: at the end there is something to do (I4)."""
    if seen.state in USABLE:
        due = next_due(seen)
        assert due is not None
        assert due.at <= END


@given(accounts)
def test_a_hold_stops_a_reclaim_and_nothing_else(seen: Account) -> None:
    """Held or not, everything but a reclaim is owed alike."""
    free, held = (next_due(account(seen.state, warned=seen.warned, convert_asked=seen.convert_asked,
                                   reclaim_asked=seen.reclaim_asked, hold=hold, fenced_by=seen.fenced_by))
                  for hold in (False, True))
    assert held == (None if free is not None and free.what is Owed.RECLAIM else free)


@given(accounts, st.sampled_from(Owed), st.datetimes(NOW.replace(tzinfo=None)))
def test_a_pause_never_brings_anything_forward(seen: Account, what: Owed, until: object) -> None:
    """Nothing is due earlier for having failed."""
    free, paused = next_due(seen), next_due(seen, Due(what, until.replace(tzinfo=NOW.tzinfo)))  # type: ignore[attr-defined]
    assert (free is None) == (paused is None)
    if free is not None and paused is not None:
        assert paused.at >= free.at
