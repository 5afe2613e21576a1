"""Accounts are saved only as they were read, and nothing that others set meanwhile is lost."""

from dataclasses import replace
from datetime import timedelta

import pytest

from orchestrator.lifecycle.account import FencedBy, State
from orchestrator.lifecycle.due import Owed
from orchestrator.store import accounts, errors, holding
from orchestrator.store.accounts import Filter, Stuck
from tests.store.making import HOUR, LEASE, NOW, OFFER, World, active, new, number, seconds


def test_an_account_is_read_as_it_was_added(world: World) -> None:
    """Every field of an account comes back equal."""
    account = active(3, fenced_at=NOW, fenced_by=FencedBy.OPERATOR, warned=1, contract="c-1", convert_asked=True)
    world.add(account)
    with world.store.read() as tx:
        assert accounts.get(tx, number(3)) == account


def test_an_unknown_account_is_none(world: World) -> None:
    """There is no account that was never added."""
    with world.store.read() as tx:
        assert accounts.get(tx, "aaaaaaaaaa") is None


def test_a_save_with_a_stale_state_conflicts(world: World) -> None:
    """A second save from the same reading is refused."""
    world.add(was := new())
    with world.store.write() as tx:
        accounts.save(tx, was.move(State.PROVISIONING, at=NOW), was)
    with pytest.raises(errors.Conflict), world.store.write() as tx:
        accounts.save(tx, was.move(State.FAILED, at=NOW), was)


def test_a_save_with_a_stale_generation_conflicts(world: World) -> None:
    """A reading from before somebody's claim cannot be saved."""
    world.add(was := new())
    world.claim()
    with pytest.raises(errors.Conflict), world.store.write() as tx:
        accounts.save(tx, was.move(State.PROVISIONING, at=NOW), was)


def test_a_save_of_a_lost_claim_conflicts(world: World) -> None:
    """A worker that wakes up after another took over cannot save."""
    world.add(new())
    first, = world.claim(worker="w1")
    world.claim(NOW + LEASE, worker="w2")
    with pytest.raises(errors.Conflict), world.store.write() as tx:
        accounts.save(tx, first.account.move(State.PROVISIONING, at=NOW), first, release=True)


def test_a_refused_save_changes_nothing(world: World) -> None:
    """The winner's row stays as the winner wrote it."""
    world.add(new())
    first, = world.claim(worker="w1")
    world.claim(NOW + LEASE, worker="w2")
    before = world.record()
    with pytest.raises(errors.Conflict), world.store.write() as tx:
        accounts.save(tx, first.account.move(State.FAILED, at=NOW), first, release=True)
    assert world.record() == before


def test_a_step_is_saved_and_the_claim_kept(world: World) -> None:
    """What a save answers is what the next save of the same claim takes."""
    world.add(new())
    claimed, = world.claim()
    with world.store.write() as tx:
        claimed = accounts.save(tx, claimed.account.move(State.PROVISIONING, at=NOW), claimed, release=False)
    with world.store.write() as tx:
        opened = replace(claimed.account.move(State.ACTIVE, at=NOW), starts_at=NOW, ends_at=NOW + OFFER.duration)
        accounts.save(tx, opened, claimed, release=True)
    record = world.record()
    assert (record.account.state, record.worker, record.owed) == (State.ACTIVE, None, Owed.WARN)


def test_a_hold_set_while_a_worker_saves_is_kept(world: World) -> None:
    """A worker writes what it changed, not what it read."""
    world.add(new())
    claimed, = world.claim()
    with world.store.write() as tx:
        holding.put(tx, True, account=number(0))
    with world.store.write() as tx:
        accounts.save(tx, claimed.account.move(State.PROVISIONING, at=NOW), claimed, release=True)
    assert world.record().account.hold


def test_a_wish_is_saved_beside_a_running_claim(world: World) -> None:
    """Asking for a conversion neither breaks the claim nor is lost by it."""
    world.add(active())
    with world.store.write() as tx:
        claimed = accounts.claim_one(tx, number(0), NOW, "w1", LEASE)
    with world.store.write() as tx:
        was = accounts.get(tx, number(0))
        assert was is not None
        accounts.save(tx, replace(was, convert_asked=True), was)
    with world.store.write() as tx:
        accounts.save(tx, replace(claimed.account, warned=1), claimed, release=True)
    assert world.record().owed is Owed.CONVERT


def test_a_released_save_clears_the_mark(world: World) -> None:
    """Success takes the STUCK mark, the pause and the count away."""
    world.add(new())
    claimed, = world.claim()
    with world.store.write() as tx:
        accounts.release(tx, claimed, retry_at=NOW + HOUR, stuck=Stuck("up", "no image", NOW, 1, "operator", "pull it"))
    again, = world.claim(NOW + HOUR)
    with world.store.write() as tx:
        accounts.save(tx, again.account.move(State.FAILED, at=NOW + HOUR), again, release=True)
    record = world.record()
    assert (record.stuck, record.retry_at, record.attempts) == (None, None, 0)


def test_a_held_account_owes_no_reclaim(world: World) -> None:
    """A hold stops a reclaim, and letting go owes it again."""
    world.add(new(state=State.FAILED))
    with world.store.write() as tx:
        holding.put(tx, True, account=number(0))
    assert world.claim() == []
    with world.store.write() as tx:
        holding.put(tx, False, account=number(0))
    assert [claimed.owed for claimed in world.claim()] == [Owed.RECLAIM]


def test_a_held_site_never_stops_a_fence(world: World) -> None:
    """Everything held, an end is still an end."""
    world.add(active(ends_at=NOW, warned=1))
    with world.store.write() as tx:
        holding.put(tx, True)
    assert [claimed.owed for claimed in world.claim()] == [Owed.FENCE]


def test_a_held_site_holds_accounts_to_come(world: World) -> None:
    """An account added after the site was held is held too."""
    with world.store.write() as tx:
        holding.put(tx, True, site="nanjing")
    world.add(new(1))
    assert world.record(1).account.hold


def test_letting_a_site_go_keeps_an_accounts_own_hold(world: World) -> None:
    """Two brakes are two brakes."""
    world.add(new(1), new(2))
    with world.store.write() as tx:
        holding.put(tx, True, account=number(1))
        holding.put(tx, True, site="nanjing")
        holding.put(tx, False, site="nanjing")
    assert [world.record(nth).account.hold for nth in (1, 2)] == [True, False]


def test_three_holds_are_three_brakes(world: World) -> None:
    """Everything's let go leaves the account's own and its site's, and each says whether it was on."""
    world.add(new(1), new(2))
    with world.store.write() as tx:
        assert not holding.put(tx, True, site="nanjing").before
        holding.put(tx, True, account=number(1))
        holding.put(tx, True)
        found = holding.of(tx, [number(1), number(2)])
        assert found == {number(1): [number(1), "nanjing", "all"], number(2): ["nanjing", "all"]}
        assert holding.put(tx, False).before
        assert not holding.put(tx, False).before
        assert holding.put(tx, False, site="nanjing").before
        assert holding.of(tx, [number(1), number(2)]) == {number(1): [number(1)]}
    assert [world.record(nth).account.hold for nth in (1, 2)] == [True, False]


def test_everything_held_holds_accounts_to_come(world: World) -> None:
    """At every site."""
    with world.store.write() as tx:
        holding.put(tx, True)
    world.add(new(1))
    assert world.record(1).account.hold


def test_what_only_a_hold_keeps_is_counted_from_when_it_is(world: World) -> None:
    """Not before grace is over, by which hold it is, and no longer once that is let go."""
    ended = active(1, state=State.FENCED, ends_at=NOW, fenced_at=NOW, fenced_by=FencedBy.END)
    world.add(ended)
    grace_over = NOW + ended.offer.grace
    with world.store.write() as tx:
        holding.put(tx, True)
        assert holding.kept(tx, grace_over - timedelta(seconds=1)) == []
        assert holding.kept(tx, grace_over) == [holding.Kept("nanjing", False, False, True, 1, grace_over)]
        holding.put(tx, False)
        assert holding.kept(tx, grace_over) == []


def test_the_inventory_is_added_to(world: World) -> None:
    """Lists kept at different times stand side by side."""
    world.add(new())
    with world.store.write() as tx:
        accounts.keep_inventory(tx, number(0), before=[["user", "tn-x"]])
        accounts.keep_inventory(tx, number(0), address="10.7.0.2")
    assert world.record().inventory == {"before": [["user", "tn-x"]], "address": "10.7.0.2"}


@pytest.mark.parametrize(("which", "found"), [
    (Filter(), [0, 1, 2]), (Filter(site="wuxi"), [1]), (Filter(state=State.ACTIVE), [0, 1]),
    (Filter(ending_before=NOW + HOUR), [1]), (Filter(stuck=True), [0]), (Filter(stuck=False), [1, 2]),
    (Filter(ids=[number(2), "nobody"]), [2]), (Filter(live=True), [0, 1]), (Filter(sender="another"), []),
], ids=str)
def test_a_filter_finds(world: World, which: Filter, found: list[int]) -> None:
    """Each condition narrows the list by itself."""
    world.add(active(0), active(1, site="wuxi", ends_at=NOW + seconds(5)), new(2, state=State.RECLAIMED))
    with world.store.write() as tx:
        claimed = accounts.claim_one(tx, number(0), NOW, "w", LEASE)
        accounts.release(tx, claimed, retry_at=NOW, stuck=Stuck("fence", "away", NOW, 3, "tenure"))
        tx.execute(accounts._table.update().where(accounts._table.c.id == number(0)).values(due_at=NOW))
        assert [record.id for record in accounts.select(tx, which)] == [number(nth) for nth in found]


def test_pages_follow_each_other(world: World) -> None:
    """The last id of a page is where the next begins."""
    world.add(*(new(nth) for nth in range(5)))
    with world.store.read() as tx:
        first = accounts.select(tx, Filter(), limit=3)
        rest = accounts.select(tx, Filter(), limit=3, after=first[-1].id)
    assert [record.id for record in first + rest] == [number(nth) for nth in range(5)]


def test_live_ids_of_a_site(world: World) -> None:
    """What is not shown gone is live, FAILED included."""
    world.add(active(0), new(1, state=State.FAILED), new(2, state=State.RECLAIMED), active(3, site="wuxi"))
    with world.store.read() as tx:
        assert accounts.ids_live_at(tx, "nanjing") == {number(0), number(1)}
