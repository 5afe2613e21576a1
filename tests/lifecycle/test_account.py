"""The transition table and the one door through it."""

from datetime import UTC, datetime, timedelta
from itertools import product

import pytest

from orchestrator.lifecycle.account import LIVE, MOVES, USABLE, FencedBy, State
from orchestrator.lifecycle.errors import IllegalMove
from tests.lifecycle.making import END, HOUR, NOW, OFFER, account

LEGAL = {(before, after) for before, afters in MOVES.items() for after in afters}
LATER = NOW + HOUR


@pytest.mark.parametrize(("before", "after"), sorted(LEGAL))
def test_a_legal_move_is_made(before: State, after: State) -> None:
    """The account is in its next state, since then; nothing else about it is new."""
    moved = account(before, fenced_by=FencedBy.OPERATOR).move(after, at=LATER)
    assert (moved.state, moved.since, moved.generation, moved.ends_at) == (after, LATER, 1, END)


@pytest.mark.parametrize(("before", "after"), sorted(set(product(State, State)) - LEGAL))
def test_any_other_move_is_refused(before: State, after: State) -> None:
    """What is not in the table does not happen."""
    with pytest.raises(IllegalMove):
        account(before).move(after, at=LATER)


def test_a_fence_at_the_end_is_never_lifted() -> None:
    """It ends in a conversion or in reclaim."""
    with pytest.raises(IllegalMove):
        account(State.FENCED, fenced_by=FencedBy.END).move(State.ACTIVE, at=LATER)


def test_a_fence_at_the_end_may_become_a_contract() -> None:
    """The fence is gone with it."""
    moved = account(State.FENCED, fenced_by=FencedBy.END, fenced_at=NOW).move(State.CONTRACTED, at=LATER)
    assert (moved.fenced_by, moved.fenced_at) == (None, None)


def test_every_state_leads_to_reclaimed() -> None:
    """There is no state from which an account never ends (I4)."""
    reached = {State.RECLAIMED}
    while more := {state for state, nexts in MOVES.items() if nexts & reached} - reached:
        reached |= more
    assert reached == set(State)


def test_reclaimed_is_the_end() -> None:
    """Nothing comes after, and it alone is not live."""
    assert not MOVES[State.RECLAIMED]
    assert set(State) - LIVE == {State.RECLAIMED}


def test_only_through_a_fence_is_anything_reclaimed() -> None:
    """No usable account is taken away without having been fenced."""
    assert all(State.RECLAIMING not in MOVES[state] for state in USABLE)


def test_warnings_come_first_to_last() -> None:
    """In the order of time, whatever order the offer has."""
    assert account(State.ACTIVE).warnings() == [END - HOUR, END - HOUR / 6]


def test_a_warning_before_the_start_is_left_out() -> None:
    """A lease shorter than a warning's lead has no such warning."""
    assert account(State.ACTIVE, ends_at=NOW + HOUR).warnings() == [NOW + HOUR - HOUR / 6]


def test_grace_counts_from_the_end() -> None:
    """And only for a fence at the end."""
    assert account(State.FENCED, fenced_by=FencedBy.END).grace_until == END + OFFER.grace
    assert account(State.FENCED, fenced_by=FencedBy.OPERATOR).grace_until is None


def test_time_left_is_never_negative() -> None:
    """Past the end nothing is left."""
    assert account(State.ACTIVE).remaining(END + HOUR) == timedelta()


def test_the_leap_day_is_a_day() -> None:
    """24 hours from 28 February 2028 end on the 29th."""
    assert account(State.ACTIVE).ends_at == datetime(2028, 2, 29, 23, tzinfo=UTC)
