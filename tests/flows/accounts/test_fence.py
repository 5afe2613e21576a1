"""Fences: at the end, in one call a site, and no account's or site's fault delays another."""

import threading
from collections.abc import Sequence
from datetime import timedelta
from typing import Literal

from sqlalchemy import update

from orchestrator.flows.accounts.fence import fence
from orchestrator.flows.work.sweep import Sweep
from orchestrator.lifecycle.account import FencedBy, State
from orchestrator.lifecycle.due import Owed
from orchestrator.store import accounts, tables
from orchestrator.store.engine import Tx
from providers.protocol import Fenced
from tests.flows.town import Town

HOUR, SECOND = timedelta(hours=1), timedelta(seconds=1)
FENCE = frozenset({Owed.FENCE})


def _actives(town: Town, count: int) -> list[str]:
    ids = [town.redeem(code).account for code in town.codes(count)]
    town.work()
    return ids


def test_an_account_is_fenced_at_its_end(town: Town) -> None:
    """FENCED by its end, and the site says since when."""
    id = town.active()
    town.advance(town.offer.duration)
    town.work()
    account = town.account(id)
    assert (account.state, account.fenced_by, account.fenced_at) == (State.FENCED, FencedBy.END, account.ends_at)


def test_before_the_end_nothing_is_fenced(town: Town) -> None:
    """One second before, the account is usable."""
    id = town.active()
    town.advance(town.offer.duration - SECOND)
    town.work()
    assert town.account(id).state is State.ACTIVE


def test_tenure_fences_where_the_site_did_not(town: Town) -> None:
    """With the site's own reaper dead, the sweep's fence closes the account."""
    id = town.active()
    with town.sites["north"].keeper.held() as world:
        world.faults.no_reaper = True
    town.advance(town.offer.duration)
    town.work()
    tenancy = town.tenancy(id)
    assert tenancy is not None
    assert not tenancy.usable


def test_a_poisoned_account_spoils_no_other(town: Town) -> None:
    """All others of the batch are fenced; it alone is STUCK and is tried again for ever."""
    ids = _actives(town, 20)
    with town.sites["north"].keeper.held() as world:
        world.faults.poisoned = [ids[7]]
    town.advance(town.offer.duration)
    town.work(owed=FENCE)
    states = {id: town.account(id).state for id in ids}
    stuck = town.record(ids[7]).stuck
    assert [id for id, state in states.items() if state is not State.FENCED] == [ids[7]]
    assert stuck is not None
    assert (stuck.what, stuck.next) == ("fence", "operator")


def test_a_batch_that_raises_as_a_whole_is_asked_one_by_one(town: Town) -> None:
    """A site kind whose call fails because of one account still fences the others."""
    ids = _actives(town, 6)
    site = town.sites["north"]

    class Brittle:
        """The site, but one bad account fails the whole batch, as a transport that dies would."""

        def __getattr__(self, name: str) -> object:
            return getattr(site, name)

        def fence(self, batch: Sequence[tuple[str, int]], by: Literal["end", "operator"]) -> list[Fenced]:
            if any(account == ids[2] for account, _ in batch):
                raise OSError("channel closed")
            return site.fence(batch, by)

    town.instead("north", Brittle())
    town.advance(town.offer.duration)
    with town.store.write() as tx:
        taken = accounts.claim_due(tx, town.clock.at, "w1", frozenset({Owed.FENCE}), 100, 10 * SECOND)
    down = fence(town.ctx, "north", taken)
    town.instead("north", site)
    assert not down
    assert [id for id in ids if town.account(id).state is not State.FENCED] == [ids[2]]


def test_a_dead_site_holds_up_no_other(two: Town) -> None:
    """While calls to one site hang, the other site's accounts are fenced; afterwards its own are shown unfenced."""
    ids = [two.redeem(code).account for code in two.codes(6)]
    with two.store.write() as tx:
        for id in ids[3:]:
            _move(tx, id)
    two.work()
    gate, hanging = threading.Event(), threading.Event()
    south = two.sites["south"]

    class Hanging:
        """A site whose calls do not come back until the gate opens."""

        def __getattr__(self, name: str) -> object:
            return getattr(south, name)

        def fence(self, batch: Sequence[tuple[str, int]], by: Literal["end", "operator"]) -> list[Fenced]:
            hanging.set()
            assert gate.wait(30)
            return south.fence(batch, by)

    two.instead("south", Hanging())
    two.advance(two.offer.duration)
    with Sweep(two.ctx, FENCE) as sweep:
        sweep.tick(two.clock.at)
        assert hanging.wait(30)
        for _ in range(3000):
            if all(two.account(id).state is State.FENCED for id in ids[:3]):
                break
            gate.wait(0.01)
        north = [two.account(id).state for id in ids[:3]]
        gate.set()
        sweep.idle(30)
    two.instead("south", south)
    assert north == [State.FENCED] * 3
    assert [two.account(id).state for id in ids[3:]] == [State.FENCED] * 3


def _move(tx: Tx, id: str) -> None:
    tx.execute(update(tables.accounts).where(tables.accounts.c.id == id).values(site="south"))


def test_a_site_down_at_the_end_is_fenced_when_it_is_back(town: Town) -> None:
    """Shown unfenced while it is away, with growing pauses; recorded with the site's own instant afterwards."""
    id = town.active()
    ends_at = town.account(id).ends_at
    with town.sites["north"].keeper.held() as world:
        world.faults.dead = True
    town.advance(town.offer.duration)
    for _ in range(8):
        town.work()
        due = town.record(id).due_at
        assert due is not None
        town.advance_to(max(due, town.clock.at + SECOND))
    record = town.record(id)
    assert record.account.state is State.ACTIVE
    assert record.stuck is not None
    assert (record.stuck.what, record.stuck.count >= 6, record.stuck.next) == ("fence", True, "tenure")
    with town.sites["north"].keeper.held() as world:
        world.faults.dead = False
    town.advance(HOUR)
    town.work()
    assert (town.account(id).state, town.account(id).fenced_at) == (State.FENCED, ends_at)
    assert town.record(id).stuck is None


def test_a_fence_waits_for_no_provisioning(town: Town) -> None:
    """All provisioning threads hang in Pulumi; the end is kept all the same."""
    id = town.active()
    town.advance(town.offer.duration - SECOND)
    gate = threading.Event()
    town.stacks.before = lambda operation, account: None if gate.wait(30) else None
    for code in town.codes(8):
        town.redeem(code)
    with Sweep(town.ctx) as sweep:
        sweep.tick(town.clock.at)
        # Its warning has the account for so long.
        assert sweep._warnings.idle(30)
        town.advance(SECOND)
        sweep.tick(town.clock.at)
        assert sweep._fences.idle(30)
        state = town.account(id).state
        gate.set()
        sweep.idle(30)
    assert state is State.FENCED


def test_a_worker_that_wakes_up_late_changes_nothing(town: Town) -> None:
    """Its claim lapsed and another worker fenced: the late one's save is refused, and so is its call to the site."""
    id = town.active()
    town.advance(town.offer.duration)
    with town.store.write() as tx:
        late = accounts.claim_due(tx, town.clock.at, "late", FENCE, 10, 15 * SECOND)
    town.advance(16 * SECOND)
    town.work(town.worker("other"), FENCE)
    before = town.record(id)
    fence(town.worker("late"), "north", late)
    assert town.record(id) == before
    assert town.journalled(id).count("account.fenced") == 1


def test_the_sender_learns_until_when_the_data_is_kept(town: Town) -> None:
    """`account.fenced` is told once."""
    id = town.active()
    town.advance(town.offer.duration)
    town.work()
    town.work()
    assert town.told(id).count("account.fenced") == 1
