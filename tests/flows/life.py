"""Whole lives of accounts on a town, so that everything there is to tell happens, each thing after the other."""

from collections.abc import Callable
from datetime import timedelta

from orchestrator.flows.accounts import operate
from orchestrator.flows.accounts.extend import extend
from orchestrator.flows.messages.notice import Text, notify
from orchestrator.flows.messages.reminders import NOTICE
from orchestrator.flows.money import contract
from orchestrator.flows.vouchers import booking
from orchestrator.lifecycle.account import State
from orchestrator.store import price_lists
from providers.protocol import TryLater
from stacks.events import Change
from tests.flows.money.test_contract import PRICES
from tests.flows.town import Town

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
TERM = 90 * DAY


def to_the_end(town: Town, step: Callable[[], None]) -> str:
    """Redeemed, usable, moved to another end and back, warned, told something, fenced and opened by an operator, ended,
    nearly deleted, contracted, ended, reclaimed. `step` is called after each. Answers the account's id."""
    with town.store.write() as tx:
        price_lists.put(tx, PRICES)
    id = town.redeem().account
    step()
    _worked(town, step)
    for by in (HOUR, -HOUR):
        extend(town.ctx, id, by=by, actor="test")
        step()
    town.advance(town.offer.duration - HOUR)
    _worked(town, step)
    notify(town.ctx, id, Text("今晚维护", "Maintenance tonight"), actor="test")
    step()
    for act in (operate.fence, operate.unfence):
        act(town.ctx, id, actor="test")
        step()
    town.advance(HOUR)
    _worked(town, step)
    town.advance(town.offer.grace * 3 / 4)
    _worked(town, step)
    paper = contract.draft(town.ctx, id, "B", town.clock.at + TERM, actor="test")
    step()
    assert paper.digest is not None
    contract.sign(town.ctx, paper.id, paper.digest, actor="holder")
    step()
    _worked(town, step)
    assert town.account(id).state is State.CONTRACTED
    for wait in (TERM - NOTICE, NOTICE, town.account(id).offer.grace * 3 / 4, town.account(id).offer.grace / 4):
        town.advance(wait)
        _worked(town, step)
    assert town.account(id).state is State.RECLAIMED
    return id


def refused(town: Town, step: Callable[[], None]) -> str:
    """A contract that would destroy something."""
    id = town.active()
    step()
    town.stacks.changes[id] = [Change("storage", "replace")]
    town.ask(id)
    _worked(town, step)
    return id


def failed(town: Town, step: Callable[[], None]) -> str:
    """An account that was never usable."""
    id = town.redeem().account
    town.stacks.failing[id] = TryLater("pulumi: timed out")
    town.work()
    town.stacks.failing.clear()
    town.advance(town.offer.provision_within)
    _worked(town, step)
    assert town.account(id).state is State.RECLAIMED
    return id


def booked(town: Town, step: Callable[[], None]) -> str:
    """A booking that is moved, then cancelled."""
    begins_at = town.clock.at + 2 * DAY
    id = town.redeem(begins_at=begins_at).account
    booking.move(town.ctx, id, begins_at + DAY, actor="test")
    booking.cancel(town.ctx, id, actor="test")
    step()
    return id


def everything(town: Town, step: Callable[[], None]) -> None:
    """All that can be told."""
    for live in (to_the_end, refused, failed, booked):
        live(town, step)


def _worked(town: Town, step: Callable[[], None]) -> None:
    town.work()
    step()
