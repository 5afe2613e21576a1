"""Emptying a site: the plan says what becomes of each account, and acting on it does just that."""

from contextlib import suppress
from datetime import timedelta

import pytest
from sqlalchemy import select

from orchestrator.flows.accounts import drain as flow
from orchestrator.flows.accounts import operate
from orchestrator.flows.accounts.drain import Fate, Wish
from orchestrator.flows.accounts.extend import extend
from orchestrator.lifecycle.account import State
from orchestrator.lifecycle.due import Owed
from orchestrator.lifecycle.errors import RuleError
from orchestrator.store import sites, tables
from providers.protocol import TryLater
from tests.flows.town import START, Town

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def contracted(town: Town) -> str:
    """An account that goes on for 90 days."""
    id = town.active()
    town.ask(id)
    town.work()
    assert town.account(id).state is State.CONTRACTED
    return id


def fates(town: Town, wish: Wish) -> dict[str, Fate]:
    return {stay.account.id: stay.fate for stay in flow.plan(town.ctx, "north", wish)}


def test_the_plan_says_what_becomes_of_each(town: Town) -> None:
    """Those that end by themselves, that outlive it, by contract, fenced, and yet to begin."""
    short, long, contract, fenced = town.active(), town.active(), contracted(town), town.active()
    extend(town.ctx, long, by=10 * DAY, actor="test")
    operate.fence(town.ctx, fenced, actor="test")
    booked = town.redeem(begins_at=START + 5 * DAY).account
    until = START + town.offer.duration + HOUR
    assert fates(town, Wish(until)) == {short: Fate.ENDS, long: Fate.OUTLIVES, contract: Fate.CONTRACT,
                                        fenced: Fate.ENDS, booked: Fate.BOOKED}
    assert set(fates(town, Wish()).values()) == {Fate.ENDS, Fate.BOOKED}


@pytest.mark.parametrize("wish", [Wish(START + 2 * DAY), Wish(end_by=START + 2 * DAY)])
def test_who_can_be_unfenced_may_outlive_it(town: Town, wish: Wish) -> None:
    """An operator's fence is lifted and the account goes on to its end; the plan says until when. One that is taken
    back, or was fenced at its end, is leaving."""
    fenced, leaving, ended = town.active(), town.active(), town.active()
    for id in (fenced, leaving):
        extend(town.ctx, id, by=10 * DAY, actor="test")
        operate.fence(town.ctx, id, actor="test")
    operate.reclaim(town.ctx, leaving, actor="test")
    town.advance(DAY)
    town.work(owed=frozenset({Owed.FENCE}))
    stays = {stay.account.id: stay for stay in flow.plan(town.ctx, "north", wish)}
    assert {id: stay.fate for id, stay in stays.items()} == {fenced: Fate.FENCED, leaving: Fate.LEAVING,
                                                             ended: Fate.LEAVING}
    end = START + town.offer.duration + 10 * DAY
    assert (stays[fenced].ends_at, stays[fenced].empty_at, stays[fenced].new_end) == (
        end, end + town.offer.grace, None)
    assert operate.unfence(town.ctx, fenced, actor="test").ends_at == end


def test_a_plan_changes_nothing(town: Town) -> None:
    """Neither the site nor an account."""
    id = town.active()
    before = town.record(id)
    flow.plan(town.ctx, "north", Wish(START + HOUR, START + HOUR))
    assert town.record(id) == before
    with town.store.read() as tx:
        row = sites.get(tx, "north")
    assert row is not None
    assert not row.drained


def test_a_contract_is_ended_early_only_when_it_is_named(town: Town) -> None:
    """The others are."""
    trial, contract = town.active(), contracted(town)
    by = START + HOUR
    assert fates(town, Wish(end_by=by)) == {trial: Fate.SHORTENED, contract: Fate.CONTRACT}
    assert fates(town, Wish(end_by=by, contracts=[contract]))[contract] is Fate.SHORTENED
    with pytest.raises(RuleError, match="not at site north under a contract"):
        flow.plan(town.ctx, "north", Wish(end_by=by, contracts=[trial]))


def test_an_earlier_end_is_armed_at_the_site(town: Town) -> None:
    """The site has it, the database has it, the journal has why; warnings follow."""
    id = town.active()
    stay, = flow.plan(town.ctx, "north", Wish(end_by=START + HOUR))
    assert flow.shorten(town.ctx, stay, actor="cli:7").ends_at == START + HOUR
    tenancy = town.tenancy(id)
    assert tenancy is not None
    assert tenancy.end == (START + HOUR).timestamp()
    town.advance(HOUR)
    town.work()
    assert town.account(id).state is State.FENCED


def test_a_place_is_held_until_the_site_has_the_earlier_end(town: Town) -> None:
    """A site that does not answer keeps its account, so its place is nobody else's; afterwards it is free sooner."""
    town.active()
    stay, = flow.plan(town.ctx, "north", Wish(end_by=START + HOUR))
    until = []
    for dead in (True, False):
        with town.sites["north"].keeper.held() as world:
            world.faults.dead = dead
        with suppress(TryLater):
            flow.shorten(town.ctx, stay, actor="test")
        with town.store.read() as tx:
            until.append(tx.execute(select(tables.holds.c.until)).scalar_one())
    assert until == [START + town.offer.duration + town.offer.grace, START + HOUR + town.offer.grace]


def test_a_drained_site_gets_no_account_until_it_is_undrained(town: Town) -> None:
    """Journalled both times."""
    flow.drain(town.ctx, "north", True, actor="cli:7", why="a new floor")
    with pytest.raises(RuleError) as refused:
        town.redeem()
    assert refused.value.code == "no_capacity"
    flow.drain(town.ctx, "north", False, actor="cli:7")
    town.redeem()
    assert town.journalled("north") == ["site.drained", "site.undrained"]


def test_a_site_that_is_not_there_cannot_be_drained(town: Town) -> None:
    """Nor planned for; and the past is no end."""
    for act in (lambda: flow.drain(town.ctx, "south", True, actor="test"),
                lambda: flow.plan(town.ctx, "south", Wish()),
                lambda: flow.plan(town.ctx, "north", Wish(end_by=START - HOUR))):
        with pytest.raises(RuleError):
            act()


def test_holders_are_told_until_when_it_is_there(town: Town) -> None:
    """The end that holds by then, in both languages."""
    id = town.active()
    stay, = flow.plan(town.ctx, "north", Wish(end_by=START + HOUR))
    flow.shorten(town.ctx, stay, actor="test")
    assert flow.tell_holder(town.ctx, id, None, actor="test").shown
    tenancy = town.tenancy(id)
    assert tenancy is not None
    assert "即将停用" in tenancy.notice
    assert "taken out of service" in tenancy.notice
