"""Fetching after the end: for the key that claimed, until grace is over, and never in the way of what comes next."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from orchestrator.flows.accounts import operate
from orchestrator.flows.endings.rescue import open_until, rescue
from orchestrator.flows.vouchers.claim import claim
from orchestrator.lifecycle.account import State
from orchestrator.lifecycle.errors import RuleError
from orchestrator.store import claims
from orchestrator.store.errors import KeyTaken
from tests.flows.town import OFFER, Town, public_key

HOUR = timedelta(hours=1)


def fenced(town: Town) -> str:
    """An account that has just ended."""
    id = town.active()
    town.advance(OFFER.duration)
    town.work()
    assert town.account(id).state is State.FENCED
    return id


def _refusal(town: Town, account: str) -> str:
    with pytest.raises(RuleError) as refused:
        rescue(town.ctx, account, public_key())
    return refused.value.code


def test_it_ends_with_grace(town: Town) -> None:
    """To the second; the site holds that instant by itself."""
    id = fenced(town)
    account = town.account(id)
    tenancy = town.tenancy(id)
    assert tenancy is not None
    assert account.grace_until is not None
    assert account.ends_at is not None
    assert rescue(town.ctx, id, public_key()).expires == account.grace_until == account.ends_at + OFFER.grace
    assert tenancy.rescue_until == account.grace_until.timestamp()
    assert town.journalled(id).count("account.rescue_opened") == 1


def test_the_key_that_claimed_is_the_only_one(town: Town) -> None:
    """It gets the same answer again; another gets KeyTaken."""
    id, key = town.active(), public_key()
    login = claim(town.ctx, id, key)
    town.advance(OFFER.duration)
    town.work()
    first = rescue(town.ctx, id, key)
    assert rescue(town.ctx, id, key.rsplit(" ", 1)[0]) == first
    assert first.certificate != login.certificate
    with pytest.raises(KeyTaken):
        rescue(town.ctx, id, public_key())


def test_who_never_claimed_may_still_come(town: Town) -> None:
    """The first key that comes in grace is the account's; in parallel, too."""
    id, keys = fenced(town), [public_key(), public_key()]

    def one(number: int) -> str:
        try:
            return rescue(town.ctx, id, keys[number % 2]).certificate
        except KeyTaken:
            return ""

    with ThreadPoolExecutor(10) as crowd:
        answers = list(crowd.map(one, range(20)))
    assert len(set(answers)) == 2
    assert answers.count("") == 10


@pytest.mark.parametrize("what", ["active", "operator", "grace", "asked", "gone"])
def test_it_is_refused_when_there_is_nothing_to_fetch(town: Town, what: str) -> None:
    """Before the end, under an operator's fence, past grace though held, being taken back, gone."""
    if what in ("active", "operator"):
        id = town.active()
        if what == "operator":
            operate.fence(town.ctx, id, actor="test")
        assert _refusal(town, id) == {"active": "no_rescue", "operator": "fenced"}[what]
        return
    id = fenced(town)
    if what == "asked":
        operate.reclaim(town.ctx, id, actor="test")
    elif what == "grace":
        operate.hold(town.ctx, True, account=id, actor="test")
    if what != "asked":
        town.advance(OFFER.grace)
        town.work()
    assert _refusal(town, id) == ("ended" if what == "gone" else "no_rescue")


def test_an_operators_fence_that_reaches_the_end_opens_nothing(town: Town) -> None:
    """The site remembers who fenced it: the files are the operator's to give."""
    id = town.active()
    operate.fence(town.ctx, id, actor="test")
    town.advance(OFFER.duration)
    town.work()
    assert open_until(town.account(id), town.clock.at) is not None
    assert _refusal(town, id) == "no_rescue"
    with town.ctx.store.read() as tx:
        assert claims.get(tx, id) is None


def test_a_contract_ends_it_and_the_claim_begins_anew(town: Town) -> None:
    """The same key gets a login again, and the credential for fetching is forgotten."""
    id, key = fenced(town), public_key()
    rescue(town.ctx, id, key)
    town.ask(id)
    town.work()
    assert town.account(id).state is State.CONTRACTED
    tenancy = town.tenancy(id)
    assert tenancy is not None
    assert (tenancy.rescue_until, tenancy.principals) == (None, {})
    assert claim(town.ctx, id, key).expires == town.account(id).ends_at
    assert list(town.tenancy(id).principals) != []  # type: ignore[union-attr]


def test_a_second_end_opens_it_again(town: Town) -> None:
    """A contract's grace is another one than the trial's."""
    id, key = fenced(town), public_key()
    first = rescue(town.ctx, id, key)
    town.ask(id)
    town.work()
    town.advance(timedelta(days=90))
    town.work()
    second = rescue(town.ctx, id, key)
    assert second.expires == town.account(id).grace_until
    assert second.expires > first.expires


def test_reclaim_comes_as_ever(town: Town) -> None:
    """A rescue that is open delays nothing and leaves nothing."""
    id = fenced(town)
    rescue(town.ctx, id, public_key())
    town.advance(OFFER.grace)
    town.work()
    assert town.account(id).state is State.RECLAIMED
    assert town.tenancy(id) is None
