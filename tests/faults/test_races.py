"""The last second: extension, conversion, claim, operators against the fence. One outcome, here and there."""

import threading
from collections.abc import Callable
from datetime import timedelta

from orchestrator.flows.accounts import operate
from orchestrator.flows.accounts.extend import extend
from orchestrator.flows.vouchers.claim import claim
from orchestrator.lifecycle.account import USABLE, State
from orchestrator.lifecycle.errors import RuleError
from orchestrator.store.errors import Conflict
from providers.protocol import SiteError
from tests.flows.town import START, Town, public_key

ROUNDS = 25
HOUR, SECOND = timedelta(hours=1), timedelta(seconds=1)


def at_once(*acts: Callable[[], object]) -> list[str]:
    """Run them together; each one's refusal, or nothing."""
    barrier, answers = threading.Barrier(len(acts)), [""] * len(acts)

    def one(number: int) -> None:
        barrier.wait()
        try:
            acts[number]()
        except (RuleError, Conflict, SiteError) as refused:
            answers[number] = type(refused).__name__

    threads = [threading.Thread(target=one, args=(number,)) for number in range(len(acts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return answers


def _late_by_our_clock(town: Town) -> list[str]:
    """Accounts past their end by our clock; by the site's they have half a second left, so either may be first."""
    ids = [town.redeem(code).account for code in town.codes(ROUNDS)]
    town.work()
    town.clock.at = START + town.offer.duration
    with town.sites["north"].keeper.held() as world:
        world.at = (START + town.offer.duration).timestamp() - 0.5
    return ids


def _agree(town: Town, id: str) -> None:
    """The database and the site say the same about whether it is usable, and until when."""
    account, tenancy = town.account(id), town.tenancy(id)
    assert tenancy is not None
    assert (account.state in USABLE) == tenancy.usable
    if account.state in USABLE:
        assert account.ends_at is not None
        assert tenancy.end == account.ends_at.timestamp()


def test_extend_against_the_fence(town: Town) -> None:
    """Either it was extended and goes on, or it was refused aloud and is fenced."""
    for id in _late_by_our_clock(town):
        [_, refused] = at_once(town.work, lambda id=id: extend(town.ctx, id, by=HOUR, actor="test"))  # type: ignore[misc]
        town.work()
        account = town.account(id)
        assert (account.state is State.FENCED) == bool(refused)
        _agree(town, id)


def test_convert_against_the_fence(town: Town) -> None:
    """Asked for at the very end: contracted in the end, with or without a fence in between."""
    for number, id in enumerate(_late_by_our_clock(town)):
        at_once(town.work, lambda id=id, number=number: town.ask(id, f"C-{number}"))  # type: ignore[misc]
        town.work()
        assert town.account(id).state is State.CONTRACTED
        assert town.told(id).count("account.converted") == 1
        _agree(town, id)


def test_an_operators_lift_against_the_end(town: Town) -> None:
    """Unfenced and the end at once: whatever came first, nobody can use it past its end."""
    ids = [town.redeem(code).account for code in town.codes(ROUNDS)]
    town.work()
    for id in ids:
        operate.fence(town.ctx, id, actor="test")
    town.clock.at = START + town.offer.duration
    for id in ids:
        at_once(town.work, lambda id=id: operate.unfence(town.ctx, id, actor="test"))  # type: ignore[misc]
        town.advance(SECOND)
        town.work()
        assert town.account(id).state is State.FENCED
        _agree(town, id)


def test_two_extensionsat_once(town: Town) -> None:
    """One after the other or one refused; the site has what the database has."""
    for id in [town.redeem(code).account for code in town.codes(ROUNDS)]:
        town.work()
        at_once(*[lambda id=id, hours=hours: extend(town.ctx, id, by=hours * HOUR, actor="test")
                   for hours in (1, 2)])
        _agree(town, id)


def test_take_back_against_a_contract(town: Town) -> None:
    """One of the two is refused, the other is done."""
    for number, id in enumerate([town.redeem(code).account for code in town.codes(ROUNDS)]):
        town.work()
        refused = at_once(lambda id=id: operate.reclaim(town.ctx, id, actor="test"),  # type: ignore[misc]
                           lambda id=id, number=number: town.ask(id, f"C-{number}"))  # type: ignore[misc]
        town.work()
        assert refused.count("") == 1
        assert town.account(id).state is (State.RECLAIMED if refused[0] == "" else State.CONTRACTED)


def test_a_claim_against_the_fence(town: Town) -> None:
    """A certificate minted in the last moment opens nothing afterwards: the site has no principal of it."""
    for id in _late_by_our_clock(town):
        at_once(town.work, lambda id=id: claim(town.ctx, id, public_key()))  # type: ignore[misc]
        town.work()
        tenancy = town.tenancy(id)
        assert town.account(id).state is State.FENCED
        assert tenancy is not None
        assert tenancy.principals == {}
