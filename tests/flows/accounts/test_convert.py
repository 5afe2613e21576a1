"""Conversion in place: refused when it would destroy, armed before it converges, exactly one outcome at the end."""

from datetime import timedelta

import pytest

from orchestrator.flows.accounts import operate
from orchestrator.flows.accounts.convert import Ask, ask, convert, preview
from orchestrator.lifecycle.account import FencedBy, State
from orchestrator.lifecycle.contract import OPEN_END
from orchestrator.lifecycle.due import Owed
from orchestrator.lifecycle.errors import RuleError
from orchestrator.store import accounts, capacity, journal
from orchestrator.store.errors import Conflict
from providers.protocol import NeedsHuman, TryLater
from stacks.events import Change
from tests.flows.town import LARGER, START, Town

SECOND, HOUR, DAY = timedelta(seconds=1), timedelta(hours=1), timedelta(days=1)
CONVERT = frozenset({Owed.CONVERT})


def test_an_active_account_becomes_contracted_in_place(town: Town) -> None:
    """The same parts with the contract's sizes and end; nothing was fenced on the way."""
    id = town.active()
    before = town.tenancy(id)
    town.ask(id)
    town.work()
    account, after = town.account(id), town.tenancy(id)
    assert (account.state, account.offer, account.ends_at) == (State.CONTRACTED, LARGER, START + 90 * DAY)
    assert before is not None
    assert after is not None
    assert after.end == (START + 90 * DAY).timestamp()
    assert after.usable
    for part, fact in (("account", "uid"), ("storage", "subvolume"), ("network", "address")):
        assert after.parts[part][fact] == before.parts[part][fact]


def test_the_old_end_passes_and_nothing_stops(town: Town) -> None:
    """Contracted accounts end as their contract says."""
    id = town.active()
    town.ask(id)
    town.work()
    town.advance(town.offer.duration + HOUR)
    town.work()
    tenancy = town.tenancy(id)
    assert town.account(id).state is State.CONTRACTED
    assert tenancy is not None
    assert tenancy.usable


def test_a_contract_ends_as_a_voucher_does(town: Town) -> None:
    """Warned, fenced, kept, reclaimed; the contract has ended."""
    id = town.active()
    town.ask(id)
    town.work()
    for at in (90 * DAY - HOUR, 90 * DAY, 90 * DAY + LARGER.grace):
        town.advance_to(START + at)
        town.work()
    assert town.account(id).state is State.RECLAIMED
    assert town.contract(id) == "ended"
    assert [one for one in town.told(id) if one != "account.warning"] == [
        "account.redeemed", "account.usable", "contract.signed", "account.converted", "contract.active",
        "contract.ending", "account.fenced", "account.grace_ends", "account.reclaimed"]


@pytest.mark.parametrize("op", ["replace", "delete"])
def test_a_preview_that_would_destroy_refuses_the_contract(town: Town, op: str) -> None:
    """The list is told, and the account goes on as if nobody had asked."""
    id = town.active()
    town.stacks.changes[id] = [Change("storage", op, ("subvolume cannot change in place",))]  # type: ignore[arg-type]
    town.ask(id)
    town.work()
    account = town.account(id)
    assert (account.state, account.contract, account.convert_asked) == (State.ACTIVE, None, False)
    assert town.contract(id) == "refused"
    assert "contract.refused" in town.told(id)
    assert account.ends_at == START + town.offer.duration


def test_a_change_in_place_is_no_reason_to_refuse(town: Town) -> None:
    """A larger quota is an update."""
    id = town.active()
    town.stacks.changes[id] = [Change("storage", "update", ("storage: 1 -> 2",))]
    town.ask(id)
    town.work()
    assert town.account(id).state is State.CONTRACTED


def test_the_end_is_armed_before_anything_converges(town: Town) -> None:
    """When the stack's `up` begins, the site already holds the contract's end."""
    id, seen = town.active(), []

    def look(operation: str, account: str) -> None:
        tenancy = town.tenancy(account)
        if operation == "up" and tenancy is not None:
            seen.append(tenancy.end)

    town.stacks.before = look
    town.ask(id)
    town.work()
    assert seen == [(START + 90 * DAY).timestamp()]


def test_a_fenced_account_is_converted_with_its_data(town: Town) -> None:
    """In grace: the fence at the end is lifted by the contract, and by nothing else."""
    id = town.active()
    town.advance(town.offer.duration)
    town.work()
    town.ask(id)
    town.work()
    account, tenancy = town.account(id), town.tenancy(id)
    assert (account.state, account.fenced_by) == (State.CONTRACTED, None)
    assert tenancy is not None
    assert tenancy.usable


def test_when_the_site_fenced_first_the_conversion_goes_on_from_the_fence(town: Town) -> None:
    """The last second: our clock says before, the site says after. One outcome: contracted, the fence on record."""
    id = town.active()
    town.ask(id)
    with town.store.write() as tx:
        claimed = accounts.claim_due(tx, town.clock.at, "w1", CONVERT, 1, 20 * SECOND)[0]
    with town.sites["north"].keeper.held() as world:
        world.at = (START + town.offer.duration).timestamp()
        world.tick()
    convert(town.ctx, claimed)
    assert town.account(id).state is State.CONTRACTED
    assert town.journalled(id)[-2:] == ["account.fenced", "account.converted"]


def test_an_end_that_comes_while_pulumi_hangs_is_kept(town: Town) -> None:
    """The conversion's claim does not keep the account from its fence; afterwards the contract lifts it."""
    id = town.active()
    town.ask(id)
    town.stacks.failing[id] = TryLater("pulumi: timed out")
    town.work()
    town.advance(town.offer.duration)
    town.work()
    assert town.account(id).state is State.FENCED
    assert town.account(id).fenced_by is FencedBy.END
    town.stacks.failing.clear()
    town.advance(HOUR)
    town.work()
    assert town.account(id).state is State.CONTRACTED


def test_a_contract_before_reclaiming_wins(town: Town) -> None:
    """Asked for after the reclaim was claimed and before it began: converted, not deleted."""
    id = town.active()
    town.advance(town.offer.duration)
    town.work()
    town.advance(town.offer.grace)
    with town.store.write() as tx:
        claimed = accounts.claim_due(tx, town.clock.at, "w1", frozenset({Owed.RECLAIM}), 1, 20 * SECOND)[0]
    town.ask(id)
    from orchestrator.flows.endings.reclaim import reclaim
    reclaim(town.ctx, claimed)
    town.work()
    assert town.account(id).state is State.CONTRACTED


def test_after_reclaiming_a_contract_is_refused(town: Town) -> None:
    """Aloud, and nothing is written."""
    id = town.active()
    town.advance(town.offer.duration)
    town.work()
    town.advance(town.offer.grace)
    town.work()
    with pytest.raises(RuleError) as refused:
        town.ask(id)
    assert refused.value.code == "too_late"


def test_the_same_contract_again_is_the_same_answer(town: Town) -> None:
    """Never charged twice: one conversion, one callback."""
    id = town.active()
    town.ask(id)
    town.work()
    town.ask(id)
    town.work()
    assert town.told(id).count("account.converted") == 1


def test_the_same_contract_with_other_terms_is_a_conflict(town: Town) -> None:
    """Another end under the same id."""
    id = town.active()
    town.ask(id)
    with pytest.raises(Conflict):
        town.ask(id, after=91 * DAY)


def test_an_open_contract_has_an_end_all_the_same(town: Town) -> None:
    """2999-12-31: an end is never null, at the site least of all."""
    id = town.active()
    town.ask(id, after=OPEN_END - START)
    town.work()
    tenancy = town.tenancy(id)
    assert tenancy is not None
    assert tenancy.end == OPEN_END.timestamp()


def test_an_operators_fence_is_not_lifted_by_a_contract(town: Town) -> None:
    """Whoever fenced it has to lift it."""
    id = town.active()
    operate.fence(town.ctx, id, actor="test")
    with pytest.raises(RuleError) as refused:
        town.ask(id)
    assert refused.value.code == "fenced_by_operator"


def test_a_contract_without_a_place_is_refused(town: Town) -> None:
    """Nothing changes, and the voucher's place stays held."""
    from orchestrator.store import sites
    id = town.active()
    with town.store.write() as tx:
        sites.put_places(tx, "north", [])
    with pytest.raises(RuleError) as refused:
        town.ask(id)
    with town.store.read() as tx:
        held = capacity.free(tx, "north", town.offer.name, town.clock.at)
    assert refused.value.code == "no_capacity"
    assert held == 0
    assert town.account(id).contract is None


def test_nobody_else_can_convert_an_account(town: Town) -> None:
    """Another sender's account is not known."""
    from orchestrator.flows.accounts.convert import Ask, ask
    id = town.active()
    with pytest.raises(RuleError) as refused:
        ask(town.ctx, Ask("C-1", id, LARGER.name, None, "00"), actor="sender:other", sender="other")
    assert refused.value.code == "not_found"


def test_a_wish_is_journalled_with_who_and_why(town: Town) -> None:
    """As every operator's decision."""
    account = town.active()
    ask(town.ctx, Ask("C-1", account, LARGER.name, None, "00" * 32), actor="cli:7", why="the holder came by")
    with town.store.read() as tx:
        row = next(one for one in journal.list_(tx, subject=account) if one.action == "contract.asked")
    assert (row.actor, row.why) == ("cli:7", "the holder came by")


def test_an_account_that_ends_while_it_is_looked_at_has_ended(town: Town) -> None:
    """Whoever looked is told so, not that its site has lost it; what is wrong with a live account is told as it is."""
    id = town.active()
    account, asked = town.account(id), Ask("C-1", id, LARGER.name, START + 90 * DAY, "00" * 32)
    town.stacks.failing[id] = NeedsHuman("its account is gone", remedy="find out what removed it")
    with pytest.raises(NeedsHuman):
        preview(town.ctx, account, asked)

    def end(operation: str, of: str) -> None:
        town.stacks.before = lambda operation, of: None
        town.stacks.failing.clear()
        town.advance(account.offer.duration + account.offer.grace)
        town.work()
        town.stacks.failing[id] = NeedsHuman("its account is gone", remedy="find out what removed it")

    town.stacks.before = end
    with pytest.raises(RuleError, match="RECLAIMED: nothing is left to convert") as refused:
        preview(town.ctx, account, asked)
    assert refused.value.code == "too_late"
