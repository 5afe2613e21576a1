"""Work is claimed once at a time, found by one index, and owed again when its worker dies."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import select, text

from orchestrator.lifecycle.account import FencedBy, State
from orchestrator.lifecycle.due import Owed
from orchestrator.store import accounts, errors, tables
from orchestrator.store.accounts import Stuck
from orchestrator.store.claiming import due_query
from tests.store.making import ALL, DIRECT, HOUR, LEASE, NOW, OFFER, World, active, new, number, seconds


def test_a_claim_raises_the_generation(world: World) -> None:
    """The claim, its account and the row agree on the higher generation."""
    world.add(new(generation=7))
    claimed, = world.claim()
    assert (claimed.generation, claimed.account.generation, world.record().account.generation) == (8, 8, 8)


def test_a_claimed_account_is_not_due(world: World) -> None:
    """Nobody else gets it while the claim lasts."""
    world.add(new())
    world.claim(worker="w1")
    assert world.claim(NOW + LEASE - seconds(0.001), worker="w2") == []


def test_a_lapsed_claim_is_owed_again(world: World) -> None:
    """The next worker gets it with a generation of its own."""
    world.add(new())
    first, = world.claim(worker="w1")
    second, = world.claim(NOW + LEASE, worker="w2")
    assert (second.owed, second.generation) == (first.owed, first.generation + 1)


def test_only_what_was_asked_for_is_claimed(world: World) -> None:
    """The direct lane takes no provisioning."""
    world.add(new(0), active(1, ends_at=NOW, warned=1))
    assert [(claimed.account.id, claimed.owed) for claimed in world.claim(owed=DIRECT)] == [(number(1), Owed.FENCE)]


def test_nothing_is_claimed_before_its_time(world: World) -> None:
    """An end a millisecond away is not due."""
    world.add(active(ends_at=NOW + seconds(0.001), warned=1))
    assert world.claim() == []


def test_the_earliest_comes_first(world: World) -> None:
    """With a limit, what has waited longest is taken."""
    world.add(*(active(nth, ends_at=NOW - seconds(nth), warned=1) for nth in range(5)))
    assert [claimed.account.id for claimed in world.claim(limit=2)] == [number(4), number(3)]


def test_a_site_does_not_take_all_of_a_batch(world: World) -> None:
    """However much one site owes, another gets its turn."""
    world.add(*(active(nth, ends_at=NOW - HOUR, warned=1) for nth in range(6)),
              active(9, site="wuxi", ends_at=NOW, warned=1))
    assert Counter(claimed.account.site for claimed in world.claim(limit=4, per_site=2)) == {"nanjing": 2, "wuxi": 1}


def test_two_workers_never_get_the_same_account(world: World) -> None:
    """200 due accounts, 8 threads: each is claimed exactly once."""
    world.add(*(new(nth) for nth in range(200)))

    def work(worker: int) -> list[str]:
        got: list[str] = []
        while batch := world.claim(worker=f"w{worker}", limit=7):
            got += [claimed.account.id for claimed in batch]
        return got

    with ThreadPoolExecutor(8) as pool:
        taken = [id for ids in pool.map(work, range(8)) for id in ids]
    assert sorted(taken) == [number(nth) for nth in range(200)]


def test_a_put_off_account_waits(world: World) -> None:
    """Released with a pause, it is due when the pause is over and knows how often it was put off."""
    world.add(new())
    claimed, = world.claim()
    with world.store.write() as tx:
        accounts.release(tx, claimed, retry_at=NOW + seconds(9))
    assert world.claim(NOW + seconds(8)) == []
    assert [again.attempts for again in world.claim(NOW + seconds(9))] == [1]


def test_a_stuck_mark_is_shown(world: World) -> None:
    """What was stuck is read back as it was said."""
    mark = Stuck("reclaim", "EBUSY", NOW, 4, "operator", "unmount it")
    world.add(new())
    claimed, = world.claim()
    with world.store.write() as tx:
        accounts.release(tx, claimed, retry_at=NOW, stuck=mark)
    assert world.record().stuck == mark


def test_a_lost_claim_cannot_be_released(world: World) -> None:
    """Releasing late does not free what another holds."""
    world.add(new())
    first, = world.claim(worker="w1")
    world.claim(NOW + LEASE, worker="w2")
    with pytest.raises(errors.Conflict), world.store.write() as tx:
        accounts.release(tx, first, retry_at=None)


def test_a_renewed_claim_lasts_longer(world: World) -> None:
    """Long work holds on to its account."""
    world.add(new())
    claimed, = world.claim()
    with world.store.write() as tx:
        accounts.renew(tx, claimed, NOW + LEASE / 2, LEASE)
    assert world.claim(NOW + LEASE, worker="w2") == []


def test_a_lost_claim_cannot_be_renewed(world: World) -> None:
    """A worker that was paused too long is told."""
    world.add(new())
    first, = world.claim(worker="w1")
    world.claim(NOW + LEASE, worker="w2")
    with pytest.raises(errors.Conflict), world.store.write() as tx:
        accounts.renew(tx, first, NOW + LEASE, LEASE)


def test_a_failing_warning_delays_no_fence(world: World) -> None:
    """A warning put off past the end gives way to the fence, at the end itself."""
    world.add(active(ends_at=NOW + HOUR / 2, warned=0, starts_at=NOW - OFFER.duration))
    claimed, = world.claim()
    assert claimed.owed is Owed.WARN
    with world.store.write() as tx:
        accounts.release(tx, claimed, retry_at=NOW + HOUR)
    assert [(world.record().owed, world.record().due_at)] == [(Owed.FENCE, NOW + HOUR / 2)]


def test_a_failing_fence_is_put_off(world: World) -> None:
    """A fence that failed waits for its own pause, however the warnings stand."""
    world.add(active(ends_at=NOW, warned=0, starts_at=NOW - OFFER.duration))
    claimed, = world.claim()
    with world.store.write() as tx:
        accounts.release(tx, claimed, retry_at=NOW + seconds(5))
    assert (world.record().owed, world.record().due_at) == (Owed.FENCE, NOW + seconds(5))


def test_a_late_warning_gives_way_to_the_fence(world: World) -> None:
    """Found past the end, an account owes its fence and no warning of it."""
    world.add(active(ends_at=NOW + HOUR / 2, starts_at=NOW - OFFER.duration))
    assert [claimed.owed for claimed in world.claim(NOW + HOUR)] == [Owed.FENCE]


def test_a_conversion_past_the_end_goes_to_the_lane_of_fences(world: World) -> None:
    """The durable lane leaves it; the direct lane then finds its fence."""
    world.add(active(ends_at=NOW + seconds(5), convert_asked=True, contract="c"))
    assert world.claim(NOW + HOUR, owed=frozenset({Owed.CONVERT})) == []
    assert [claimed.owed for claimed in world.claim(NOW + HOUR, owed=DIRECT)] == [Owed.FENCE]


def test_a_direct_call_claims_one(world: World) -> None:
    """An operator's call claims an account for which nothing is due yet."""
    world.add(active())
    with world.store.write() as tx:
        claimed = accounts.claim_one(tx, number(0), NOW, "api", LEASE)
    assert (claimed.generation, world.record().worker) == (2, "api")


def test_a_direct_call_waits_for_nobody(world: World) -> None:
    """While a worker is at it, a direct call is refused at once."""
    world.add(new())
    world.claim()
    with pytest.raises(errors.Busy), world.store.write() as tx:
        accounts.claim_one(tx, number(0), NOW, "api", LEASE)


def test_a_direct_call_takes_over_a_lapsed_claim(world: World) -> None:
    """A dead worker stands in nobody's way."""
    world.add(new())
    world.claim()
    with world.store.write() as tx:
        assert accounts.claim_one(tx, number(0), NOW + LEASE, "api", LEASE).generation == 3


def test_a_held_account_can_be_claimed_directly(world: World) -> None:
    """A hold stops the sweep, not an operator; and the sweep does not pick it up when the claim lapses."""
    world.add(active(state=State.FENCED, fenced_by=FencedBy.END, fenced_at=NOW, hold=True))
    with world.store.write() as tx:
        accounts.claim_one(tx, number(0), NOW, "api", LEASE)
    assert world.claim(NOW + 100 * HOUR) == []


def test_a_reclaimed_account_is_not_acted_on(world: World) -> None:
    """There is nothing there."""
    world.add(new(state=State.RECLAIMED))
    with pytest.raises(errors.Conflict), world.store.write() as tx:
        accounts.claim_one(tx, number(0), NOW, "api", LEASE)


def test_an_unknown_account_is_not_found(world: World) -> None:
    """A direct call on nobody's id says so."""
    with pytest.raises(errors.NotFound), world.store.write() as tx:
        accounts.claim_one(tx, "aaaaaaaaaa", NOW, "api", LEASE)


def test_the_next_wake_is_the_earliest_of_what_is_asked(world: World) -> None:
    """The sweep sleeps until the next thing of its lane is due."""
    world.add(new(0), active(1, ends_at=NOW + HOUR, warned=1))
    with world.store.read() as tx:
        assert accounts.next_wake(tx, DIRECT) == NOW + HOUR
        assert accounts.next_wake(tx, ALL) == NOW
        assert accounts.next_wake(tx, frozenset({Owed.RECLAIM})) is None


def test_the_next_wake_counts_a_claim(world: World) -> None:
    """A dead worker's account wakes the sweep when its claim lapses."""
    world.add(new())
    world.claim()
    with world.store.read() as tx:
        assert accounts.next_wake(tx, ALL) == NOW + LEASE


@pytest.mark.parametrize("per_site", [None, 3])
def test_the_due_query_asks_one_index(world: World, per_site: int | None) -> None:
    """Among many accounts the sweep's query reads the index of what is due and no table."""
    far = active(ends_at=NOW + 1000 * HOUR, warned=1)
    world.add(far)
    with world.store.write() as tx:
        row = tx.execute(select(tables.accounts)).one()._mapping
        many = [dict(row) | {"id": number(nth)} for nth in range(1, 20000)]
        tx.connection().execute(tables.accounts.insert(), many)
        tx.execute(text("ANALYZE accounts"))
    query = due_query(NOW, DIRECT, 50, per_site)
    with world.store.read() as tx:
        compiled = str(query.compile(tx.connection(), compile_kwargs={"literal_binds": True}))
        explain = "EXPLAIN QUERY PLAN " if world.store.is_sqlite else "EXPLAIN "
        plan = "\n".join(str(row) for row in tx.execute(text(explain + compiled)))
    assert "ix_accounts_due" in plan, plan
    assert "SCAN accounts" not in plan, plan
    assert "Seq Scan" not in plan, plan
