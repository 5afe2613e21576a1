"""What is told ahead: before the data goes, before a contract ends; and what is left out when things turn."""

from datetime import timedelta

import pytest

from orchestrator.flows.accounts import operate
from orchestrator.flows.accounts.convert import Ask, ask
from orchestrator.flows.accounts.extend import extend
from orchestrator.flows.delivery.notify import deliver
from orchestrator.flows.messages.reminders import NOTICE
from orchestrator.flows.money import contract
from orchestrator.lifecycle.account import State
from orchestrator.store import outbox, price_lists
from orchestrator.store.outbox import Filter, Message
from tests.flows.money.test_contract import PRICES
from tests.flows.town import LARGER, START, Town

DAY, HOUR = timedelta(days=1), timedelta(hours=1)


def planned(town: Town, type: str) -> list[Message]:
    """Reminders of this type, the newest first."""
    with town.store.read() as tx:
        return outbox.find(tx, Filter(type=type))


def given(town: Town, type: str) -> list[tuple[str, str | None]]:
    """Each of them after what is due was delivered: its state and why it was left out."""
    for message in planned(town, type):
        if message.due_at is not None and message.due_at <= town.clock.at:
            deliver(town.ctx, message)
    return [(message.state, message.error) for message in planned(town, type)]


def fenced(town: Town) -> str:
    id = town.active()
    town.advance(town.offer.duration)
    town.work()
    return id


def contracted(town: Town, days: int = 90) -> str:
    id = town.active()
    town.ask(id, after=days * DAY)
    town.work()
    assert town.account(id).state is State.CONTRACTED
    return id


def test_the_end_of_grace_is_told_when_a_fourth_is_left(town: Town) -> None:
    """Of three days: eighteen hours before the data goes."""
    fenced(town)
    [message] = planned(town, "account.grace_ends")
    until = START + town.offer.duration + town.offer.grace
    assert (message.at, message.data["kept_until"]) == (until - timedelta(hours=18), until.isoformat())
    town.advance_to(message.at)
    assert given(town, "account.grace_ends") == [("sent", None)]
    assert town.account(message.account).state is State.FENCED


def test_a_fence_that_came_late_tells_at_once(town: Town) -> None:
    """The site was away for most of the grace."""
    town.active()
    town.advance(town.offer.duration + town.offer.grace - HOUR)
    town.work()
    assert planned(town, "account.grace_ends")[0].at == town.clock.at


def test_an_operators_fence_has_no_grace_to_end_until_the_end_comes(town: Town) -> None:
    """Then it is the end's fence, and its grace is told of once."""
    id = town.active()
    operate.fence(town.ctx, id, actor="test")
    assert planned(town, "account.grace_ends") == []
    town.advance(town.offer.duration)
    town.work()
    assert len(planned(town, "account.grace_ends")) == 1


def test_who_has_a_contract_by_then_is_not_frightened(town: Town) -> None:
    """Asked for, or in force."""
    id = fenced(town)
    town.ask(id)
    town.advance(town.offer.grace * 3 / 4)
    assert given(town, "account.grace_ends") == [("given up", "this grace is over")]
    town.work()
    assert town.account(id).state is State.CONTRACTED


def test_what_was_taken_back_early_is_not_told_to_end(town: Town) -> None:
    """The data is gone already."""
    id = fenced(town)
    operate.reclaim(town.ctx, id, actor="test")
    town.work()
    town.advance(town.offer.grace)
    assert given(town, "account.grace_ends") == [("given up", "this grace is over")]


def test_a_contracts_end_is_told_a_week_ahead(town: Town) -> None:
    """With the contract's id and its end."""
    id = contracted(town)
    [message] = planned(town, "contract.ending")
    assert message.at == START + 90 * DAY - NOTICE
    assert (message.data["contract"], message.data["ends_at"]) == ("C-1", (START + 90 * DAY).isoformat())
    town.advance_to(message.at)
    assert given(town, "contract.ending") == [("sent", None)]
    assert town.account(id).state is State.CONTRACTED


def test_a_short_contracts_end_is_told_in_its_last_tenth(town: Town) -> None:
    """A week's notice of ten days would be most of it."""
    contracted(town, days=10)
    assert planned(town, "contract.ending")[0].at == START + 9 * DAY


def test_an_open_contract_has_no_end_to_tell(town: Town) -> None:
    """It goes on until somebody gives it one."""
    id = town.active()
    ask(town.ctx, Ask("C-1", id, LARGER.name, None, "00" * 32), actor="test")
    town.work()
    assert town.account(id).state is State.CONTRACTED
    assert planned(town, "contract.ending") == []
    extend(town.ctx, id, to=START + 100 * DAY, actor="test")
    assert planned(town, "contract.ending")[0].at == START + 93 * DAY


def test_a_moved_end_moves_its_reminder(town: Town) -> None:
    """Extended by a month: told a month later, of the new end, once."""
    id = contracted(town)
    [first] = planned(town, "contract.ending")
    extend(town.ctx, id, by=30 * DAY, actor="test")
    town.advance_to(first.at)
    assert given(town, "contract.ending") == [("waiting", None), ("given up", "its end was moved")]
    again = planned(town, "contract.ending")[0]
    assert (again.at, again.data["ends_at"]) == (first.at + 30 * DAY, (START + 120 * DAY).isoformat())
    town.advance_to(again.at)
    assert given(town, "contract.ending")[0] == ("sent", None)


@pytest.mark.parametrize(("passed", "days", "told_after"), [(0, 85, 78), (0, 20, 18), (40, 42, 40)])
def test_an_end_that_is_moved_earlier_is_told_before_it(town: Town, passed: int, days: int, told_after: int) -> None:
    """A week ahead, in the last tenth, or at once where that has passed; of the end that is in force, once."""
    id = contracted(town)
    town.advance(passed * DAY)
    extend(town.ctx, id, to=START + days * DAY, actor="test")
    new = next(one for one in planned(town, "contract.ending") if one.due_at is not None)
    assert (new.at, new.data["ends_at"]) == (START + told_after * DAY, (START + days * DAY).isoformat())
    town.advance_to(new.at)
    assert sorted(given(town, "contract.ending"), key=str) == [("given up", "its end was moved"), ("sent", None)]


def test_an_end_that_is_moved_after_it_was_told_is_told_again(town: Town) -> None:
    """A week before the new one."""
    id = contracted(town)
    [first] = planned(town, "contract.ending")
    town.advance_to(first.at)
    given(town, "contract.ending")
    extend(town.ctx, id, by=30 * DAY, actor="test")
    assert [(one.state, one.at) for one in planned(town, "contract.ending")] == [
        ("waiting", first.at + 30 * DAY), ("sent", first.at)]


def test_a_contract_that_ended_early_is_not_told_to_end(town: Town) -> None:
    """Taken back by an operator."""
    id = contracted(town)
    operate.reclaim(town.ctx, id, actor="test")
    town.work()
    town.advance(90 * DAY)
    assert given(town, "contract.ending") == [("given up", "the contract has ended")]


def test_a_signature_is_told_once_whoever_brings_it(town: Town) -> None:
    """By the holder at the link, and again; the paper's id, and who it was."""
    with town.store.write() as tx:
        price_lists.put(tx, PRICES)
    id = town.active()
    paper = contract.draft(town.ctx, id, "B", town.clock.at + 90 * DAY, actor="test")
    assert paper.digest is not None
    for _ in range(2):
        contract.sign(town.ctx, paper.id, paper.digest, actor="holder")
    [message] = planned(town, "contract.signed")
    assert (message.data["contract"], message.data["by"], message.data["document"]) == (
        paper.id, "holder", paper.digest)
