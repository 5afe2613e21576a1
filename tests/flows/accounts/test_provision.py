"""Provisioning: the end before anything else, logins last, and no access after the deadline."""

from datetime import timedelta

from orchestrator.lifecycle.account import State
from orchestrator.lifecycle.due import Owed
from orchestrator.lifecycle.errors import RuleError
from orchestrator.store import capacity, vouchers
from providers.protocol import NeedsHuman, TryLater
from tests.flows.town import START, Town

SECOND = timedelta(seconds=1)
PROVISION = frozenset({Owed.PROVISION})


def test_a_redemption_becomes_a_usable_account(town: Town) -> None:
    """REQUESTED, then ACTIVE with a start and an end by the site's clock."""
    account = town.account(town.active())
    assert (account.starts_at, account.ends_at) == (START, START + town.offer.duration)


def test_the_end_is_at_the_site_before_anything_else_is(town: Town) -> None:
    """When the stack begins, the site already holds a provisional end, with logins closed."""
    seen = []

    def look(operation: str, account: str) -> None:
        tenancy = town.tenancy(account)
        seen.append((operation, tenancy is not None and tenancy.end > town.clock.at.timestamp(),
                     tenancy is not None and tenancy.open))

    town.stacks.before = look
    town.active()
    assert seen == [("up", True, False)]


def test_the_sender_is_told_once_with_the_claim_link(town: Town) -> None:
    """`account.usable` carries where the holder claims."""
    assert town.told(town.active()) == ["account.redeemed", "account.usable"]


def test_a_transient_failure_is_tried_again(town: Town) -> None:
    """TryLater leaves a mark that says who acts next, and the next try makes it usable."""
    id = town.redeem().account
    town.stacks.failing[id] = TryLater("ssh: connection reset")
    town.work()
    stuck = town.record(id).stuck
    assert stuck is not None
    assert (stuck.what, stuck.count, stuck.next) == ("provision", 1, "tenure")
    town.stacks.failing.clear()
    town.advance(SECOND)
    town.work()
    assert town.account(id).state is State.ACTIVE
    assert town.record(id).stuck is None


def test_pauses_grow_and_the_mark_counts(town: Town) -> None:
    """The third failure waits longer than the first, and since when it fails does not move."""
    id = town.redeem().account
    town.stacks.failing[id] = NeedsHuman("quota: no group", remedy="make the group")
    pauses = []
    for _ in range(3):
        town.work()
        record = town.record(id)
        assert record.due_at is not None
        pauses.append(record.due_at - town.clock.at)
        town.advance_to(record.due_at)
    stuck = town.record(id).stuck
    assert pauses == [SECOND, 2 * SECOND, 4 * SECOND]
    assert stuck is not None
    assert (stuck.since, stuck.count, stuck.next, stuck.remedy) == (START, 3, "operator", "make the group")


def test_past_the_deadline_it_has_failed(town: Town) -> None:
    """An account that is not usable in time is FAILED, never ACTIVE."""
    id = town.redeem().account
    town.stacks.failing[id] = TryLater("ssh: no route to host")
    town.work()
    town.advance(town.offer.provision_within)
    town.stacks.failing.clear()
    town.work(owed=PROVISION)
    assert town.account(id).state is State.FAILED
    assert town.told(id) == ["account.redeemed", "account.failed"]


def test_the_deadline_passing_within_the_stack_hands_out_no_access(town: Town) -> None:
    """Pulumi took too long: logins were never opened."""
    id = town.redeem().account
    town.stacks.before = lambda operation, account: town.advance(town.offer.provision_within)
    town.work(owed=PROVISION)
    tenancy = town.tenancy(id)
    assert town.account(id).state is State.FAILED
    assert tenancy is not None
    assert not tenancy.open


def test_an_answer_lost_after_opening_keeps_the_first_end(town: Town) -> None:
    """The site opened, the answer was lost: the next try gets the same end, and the site enforces that one."""
    id = town.redeem().account
    pending = ["open"]

    def lose_the_next_answer(operation: str, account: str) -> None:
        with town.sites["north"].keeper.held() as world:
            world.faults.lost_answers = len(pending)
        pending.clear()

    town.stacks.after = lose_the_next_answer
    town.work()
    town.advance(5 * SECOND)
    town.work()
    account, tenancy = town.account(id), town.tenancy(id)
    assert account.state is State.ACTIVE
    assert account.ends_at == START + town.offer.duration
    assert tenancy is not None
    assert tenancy.end == account.ends_at.timestamp()


def test_a_failed_account_gives_its_voucher_back_only_once_it_is_shown_empty(town: Town) -> None:
    """Stuck in reclaim: the voucher is used. Reclaimed: it may be redeemed again, as another account."""
    code = town.codes()[0]
    id = town.redeem(code).account
    town.stacks.failing[id] = TryLater("ssh: no route to host")
    town.work()
    town.advance(town.offer.provision_within)
    town.work()
    assert town.account(id).state in (State.FAILED, State.RECLAIMING)
    assert _refusal(town, code) == "voucher_used"
    town.stacks.failing.clear()
    town.advance(timedelta(minutes=10))
    town.work()
    assert town.account(id).state is State.RECLAIMED
    assert town.redeem(code).account != id


def _refusal(town: Town, code: str) -> str:
    try:
        town.redeem(code)
    except RuleError as refused:
        return refused.code
    return "accepted"


def test_a_failed_account_gives_its_place_back(town: Town) -> None:
    """The place is free again once the account is shown gone."""
    id = town.redeem().account
    town.advance(town.offer.provision_within)
    town.work()
    with town.store.read() as tx:
        free = capacity.free(tx, "north", town.offer.name, town.clock.at)
        known = vouchers.list_(tx)
    assert town.account(id).state is State.RECLAIMED
    assert free == 1000
    assert [row.voucher.state.value for row in known] == ["issued"]


def test_a_site_whose_clock_is_off_gets_no_account(town: Town) -> None:
    """Three seconds off: nothing is made there, and the mark says why."""
    with town.sites["north"].keeper.held() as world:
        world.offset = 3.0
    id = town.redeem().account
    town.work()
    stuck = town.record(id).stuck
    assert town.tenancy(id) is None
    assert stuck is not None
    assert "clock" in stuck.error
