"""What operators do by hand: extend, fence, unfence, take back."""

from datetime import timedelta

import pytest

from orchestrator.flows.accounts import operate
from orchestrator.flows.accounts.extend import extend
from orchestrator.lifecycle.account import FencedBy, State
from orchestrator.lifecycle.due import Owed
from orchestrator.lifecycle.errors import RuleError
from orchestrator.store import accounts, outbox
from orchestrator.store.errors import Busy
from providers.protocol import TryLater
from tests.flows.town import START, Town

SECOND, HOUR = timedelta(seconds=1), timedelta(hours=1)


def test_an_extension_moves_the_end_here_and_there(town: Town) -> None:
    """The database and the site agree."""
    id = town.active()
    extend(town.ctx, id, by=HOUR, actor="test")
    tenancy = town.tenancy(id)
    assert town.account(id).ends_at == START + town.offer.duration + HOUR
    assert tenancy is not None
    assert tenancy.end == (START + town.offer.duration + HOUR).timestamp()


def test_an_extended_account_is_fenced_at_its_new_end(town: Town) -> None:
    """Not at the old one, and not later than the new one."""
    id = town.active()
    extend(town.ctx, id, by=HOUR, actor="test")
    town.advance(town.offer.duration)
    town.work()
    assert town.account(id).state is State.ACTIVE
    town.advance(HOUR)
    town.work()
    assert town.account(id).state is State.FENCED


def test_a_moved_end_is_told_with_the_old_one(town: Town) -> None:
    """Later or earlier; one that stays where it is is no news."""
    id, end = town.active(), START + town.offer.duration
    for by in (HOUR, timedelta(), -2 * HOUR):
        extend(town.ctx, id, by=by, actor="test")
    with town.store.read() as tx:
        found = outbox.find(tx, outbox.Filter(type="account.extended"))
    assert [(one.data["ends_at_before"], one.data["ends_at"], one.data["by"]) for one in reversed(found)] == [
        (end.isoformat(), (end + HOUR).isoformat(), "operator"),
        ((end + HOUR).isoformat(), (end - HOUR).isoformat(), "operator")]


def test_after_an_extension_the_holder_is_warned_anew(town: Town) -> None:
    """Warned for the old end, extended, warned again for the new one; the old notice is gone in between."""
    id = town.active()
    town.advance(town.offer.duration - HOUR)
    town.work()
    extend(town.ctx, id, by=24 * HOUR, actor="test")
    tenancy = town.tenancy(id)
    assert tenancy is not None
    assert tenancy.notice == ""
    town.advance(24 * HOUR)
    town.work()
    assert town.told(id).count("account.warning") == 2


def test_in_the_last_second_the_sites_answer_decides(town: Town) -> None:
    """The site fenced first: the extension is refused aloud, and FENCED is on record."""
    id = town.active()
    with town.sites["north"].keeper.held() as world:
        world.at = (START + town.offer.duration).timestamp()
        world.tick()
    with pytest.raises(RuleError) as refused:
        extend(town.ctx, id, by=HOUR, actor="test")
    assert refused.value.code == "already_fenced"
    assert (town.account(id).state, town.account(id).fenced_by) == (State.FENCED, FencedBy.END)
    assert town.account(id).ends_at == START + town.offer.duration


def test_when_the_site_takes_the_new_end_the_fence_does_not_come(town: Town) -> None:
    """Our clock is past the old end, the site's is not: the site says armed, and the account goes on."""
    id = town.active()
    town.clock.at = START + town.offer.duration + SECOND
    extend(town.ctx, id, by=HOUR, actor="test")
    town.work()
    tenancy = town.tenancy(id)
    assert town.account(id).state is State.ACTIVE
    assert tenancy is not None
    assert tenancy.usable


def test_while_the_fence_is_at_work_an_extension_is_refused(town: Town) -> None:
    """The sweep has it: Busy, and the end stays."""
    id = town.active()
    town.clock.at = START + town.offer.duration
    with town.store.write() as tx:
        accounts.claim_due(tx, town.clock.at, "w1", frozenset({Owed.WARN, Owed.FENCE}), 1, 15 * SECOND)
    with pytest.raises(Busy):
        extend(town.ctx, id, by=HOUR, actor="test")


def test_an_extension_that_fails_at_the_site_changes_nothing(town: Town) -> None:
    """A dead site: the error is told, the end stays, and the account can be acted on at once."""
    id = town.active()
    with town.sites["north"].keeper.held() as world:
        world.faults.dead = True
    with pytest.raises(TryLater):
        extend(town.ctx, id, by=HOUR, actor="test")
    record = town.record(id)
    assert record.account.ends_at == START + town.offer.duration
    assert record.claimed_until is None


def test_an_extension_beyond_the_places_is_refused(town: Town) -> None:
    """Others hold the place by then."""
    from orchestrator.store import sites
    from orchestrator.store.sites import Places
    id = town.active()
    with town.store.write() as tx:
        sites.put_places(tx, "north", [Places("north", town.offer.name, 5, until=START + timedelta(days=5))])
    with pytest.raises(RuleError) as refused:
        extend(town.ctx, id, by=timedelta(days=30), actor="test")
    assert refused.value.code == "no_capacity"


@pytest.mark.parametrize("by", [timedelta(days=-2), timedelta(days=10**8)])
def test_an_impossible_end_is_refused(town: Town, by: timedelta) -> None:
    """In the past, or beyond the calendar."""
    id = town.active()
    with pytest.raises(RuleError) as refused:
        extend(town.ctx, id, by=by, actor="test")
    assert refused.value.code == "bad_end"


def test_an_operators_fence_can_be_lifted_before_the_end(town: Town) -> None:
    """FENCED, then ACTIVE with the same end."""
    id = town.active()
    operate.fence(town.ctx, id, actor="test")
    assert town.account(id).fenced_by is FencedBy.OPERATOR
    operate.unfence(town.ctx, id, actor="test")
    tenancy = town.tenancy(id)
    assert (town.account(id).state, town.account(id).ends_at) == (State.ACTIVE, START + town.offer.duration)
    assert tenancy is not None
    assert tenancy.usable


def test_an_operators_fence_becomes_final_at_the_end(town: Town) -> None:
    """Past the end it is the end's, and is lifted no more."""
    id = town.active()
    operate.fence(town.ctx, id, actor="test")
    town.advance(town.offer.duration)
    town.work()
    assert town.account(id).fenced_by is FencedBy.END
    with pytest.raises(RuleError) as refused:
        operate.unfence(town.ctx, id, actor="test")
    assert refused.value.code == "fence_at_end"


def test_a_contracted_account_is_contracted_again_after_a_lifted_fence(town: Town) -> None:
    """The contract stays in force."""
    id = town.active()
    town.ask(id)
    town.work()
    operate.fence(town.ctx, id, actor="test")
    operate.unfence(town.ctx, id, actor="test")
    assert town.account(id).state is State.CONTRACTED


def test_fencing_twice_is_fencing_once(town: Town) -> None:
    """The second answer is the first one's."""
    id = town.active()
    first = operate.fence(town.ctx, id, actor="test")
    second = operate.fence(town.ctx, id, actor="test")
    assert (first.state, first.fenced_at) == (second.state, second.fenced_at)
    assert town.told(id).count("account.fenced") == 1


def test_an_account_that_is_being_made_cannot_be_fenced(town: Town) -> None:
    """Nobody can use it anyway, and it may be acted on at once afterwards."""
    id = town.redeem().account
    with pytest.raises(RuleError) as refused:
        operate.fence(town.ctx, id, actor="test")
    assert refused.value.code == "not_usable"
    town.work()
    assert town.account(id).state is State.ACTIVE


def test_an_unknown_account_is_not_found(town: Town) -> None:
    """Each act says so."""
    for act in (operate.fence, operate.unfence, operate.reclaim):
        with pytest.raises(RuleError) as refused:
            act(town.ctx, "aaaaaaaaaa", actor="test")
        assert refused.value.code == "not_found"


def test_what_is_stuck_is_tried_again_at_once(town: Town) -> None:
    """Without waiting for its pause; once it works, the mark is gone."""
    id = town.redeem().account
    town.stacks.failing[id] = TryLater("pulumi: timed out", after=timedelta(minutes=4))
    town.work()
    town.stacks.failing.clear()
    town.work()
    assert town.record(id).stuck is not None
    operate.retry(town.ctx, id, actor="cli:7", why="the disk was full")
    town.work()
    assert (town.account(id).state, town.record(id).stuck) == (State.ACTIVE, None)
    assert "account.retry_asked" in town.journalled(id)


def test_what_is_not_stuck_is_not_retried(town: Town) -> None:
    """It would hide what is really waited for."""
    id = town.active()
    with pytest.raises(RuleError) as refused:
        operate.retry(town.ctx, id, actor="test")
    assert refused.value.code == "not_stuck"
