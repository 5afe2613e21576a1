"""Warnings: in the holder's terminals and to the sender, once each, and never in the way of an end."""

from datetime import timedelta

from orchestrator.lifecycle.account import State
from orchestrator.lifecycle.due import Owed
from tests.flows.town import START, Town

SECOND = timedelta(seconds=1)


def _until_first(town: Town) -> timedelta:
    return town.offer.duration - max(town.offer.warn_before)


def test_the_holder_sees_when_it_ends(town: Town) -> None:
    """The notice is in Chinese and English, with the end in the operator's time zone."""
    id = town.active()
    town.advance(_until_first(town))
    town.work()
    tenancy = town.tenancy(id)
    assert tenancy is not None
    assert "2027-03-02 16:00:00 CST" in tenancy.notice
    assert "算力账户" in tenancy.notice
    assert "Compute account" in tenancy.notice


def test_the_sender_is_told(town: Town) -> None:
    """One callback for each warning."""
    id = town.active()
    for before in town.offer.warn_before:
        town.advance_to(START + town.offer.duration - before)
        town.work()
    assert town.told(id) == ["account.redeemed", "account.usable", "account.warning", "account.warning"]


def test_warnings_missed_are_given_as_one(town: Town) -> None:
    """Off through both: one text with what is left."""
    id = town.active()
    town.advance(town.offer.duration - timedelta(minutes=5))
    town.work()
    assert town.told(id).count("account.warning") == 1


def test_off_past_the_end_the_fence_comes_without_a_warning(town: Town) -> None:
    """Nobody is warned of an end that has been."""
    id = town.active()
    town.advance(town.offer.duration + timedelta(hours=2))
    town.work()
    assert town.account(id).state is State.FENCED
    assert "account.warning" not in town.told(id)


def test_a_terminal_that_cannot_be_reached_still_warns_the_sender(town: Town) -> None:
    """After three tries the callback goes out alone."""
    id = town.active()
    with town.sites["north"].keeper.held() as world:
        world.faults.dead = True
    town.advance(_until_first(town))
    for _ in range(4):
        town.work(owed=frozenset({Owed.WARN}))
        town.advance(5 * SECOND)
    assert town.told(id).count("account.warning") == 1


def test_a_warning_that_fails_does_not_delay_the_end(town: Town) -> None:
    """Poisoned at the first warning, healthy at the end: fenced on time."""
    id = town.active()
    with town.sites["north"].keeper.held() as world:
        world.faults.poisoned = [id]
    town.advance(town.offer.duration - SECOND)
    town.work()
    with town.sites["north"].keeper.held() as world:
        world.faults.poisoned = []
    town.advance(SECOND)
    town.work()
    assert town.account(id).state is State.FENCED
