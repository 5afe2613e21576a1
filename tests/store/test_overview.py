"""What the operators' screen asks of the store, each answer against rows that are known."""

from datetime import timedelta
from typing import Any

from sqlalchemy import text, update

from orchestrator.lifecycle.account import FencedBy, State
from orchestrator.lifecycle.due import Owed
from orchestrator.store import outbox, overview, tables
from orchestrator.store.engine import Store
from orchestrator.store.rows import Stuck, stuck_to_json
from orchestrator.store.seal import Keyring
from tests.store.making import HOUR, NOW, World, active, new, number, seconds

DAY = timedelta(days=1)


def ask(world: World, what: Any, *given: Any) -> Any:
    with world.store.read() as tx:
        return what(tx, *given)


def mark(world: World, nth: int, error: str = "no route") -> None:
    with world.store.write() as tx:
        stuck = stuck_to_json(Stuck("fence", error, NOW - HOUR, 3, "tenure"))
        tx.execute(update(tables.accounts).where(tables.accounts.c.id == number(nth)).values(stuck=stuck))


def test_live_accounts_are_counted_by_site_and_state(world: World) -> None:
    """Reclaimed ones, and those of sites that were not asked about, are not."""
    world.add(active(1), active(2), new(3), new(4, state=State.RECLAIMED), active(5, site="wuxi"))
    assert ask(world, overview.live, ["nanjing"]) == {("nanjing", State.ACTIVE): 2, ("nanjing", State.REQUESTED): 1}


def test_an_end_at_an_edge_belongs_to_what_follows(world: World) -> None:
    """Pieces are [edge, next edge); what has no end to come is in none."""
    world.add(active(1, ends_at=NOW + HOUR), active(2, ends_at=NOW + HOUR - seconds(0.001)),
              active(3, ends_at=NOW + 2 * HOUR), active(4, ends_at=NOW + HOUR, state=State.RECLAIMING),
              active(5, ends_at=NOW + HOUR, state=State.CONTRACTED, site="wuxi"))
    assert sorted(ask(world, overview.ends, [NOW, NOW + HOUR, NOW + 2 * HOUR])) == [
        (0, "nanjing", State.ACTIVE, 1), (1, "nanjing", State.ACTIVE, 1), (1, "wuxi", State.CONTRACTED, 1)]


def test_the_next_ends_come_in_their_order(world: World) -> None:
    """The soonest first; past ones are not to come."""
    world.add(active(1, ends_at=NOW + 2 * HOUR), active(2, ends_at=NOW + HOUR), active(3, ends_at=NOW - HOUR))
    assert [one.id for one in ask(world, overview.next_ends, NOW, 5)] == [number(2), number(1)]


def test_unfenced_are_those_past_their_end(world: World) -> None:
    """Counted by site, the latest named first, as many as asked for."""
    world.add(active(1, ends_at=NOW - HOUR), active(2, ends_at=NOW - 2 * HOUR), active(3, ends_at=NOW),
              active(4, ends_at=NOW - HOUR, state=State.FENCED, fenced_by=FencedBy.END, fenced_at=NOW))
    counts, named = ask(world, overview.unfenced, NOW, 1)
    assert (counts, [one.id for one in named]) == ({"nanjing": 2}, [number(2)])


def test_stuck_accounts_come_with_their_mark(world: World) -> None:
    """Counted exactly, named up to the limit of each site."""
    world.add(active(1), active(2), active(3, site="wuxi"), active(4))
    for nth in (1, 2, 3):
        mark(world, nth)
    counts, named = ask(world, overview.stuck, 1)
    assert counts == {"nanjing": 2, "wuxi": 1}
    assert [(one.site, one.stuck.count if one.stuck else 0) for one in named] == [("nanjing", 3), ("wuxi", 3)]


def test_the_few_that_are_stuck_have_an_index_of_their_own(sqlite_url: str, keyring: Keyring) -> None:
    """Asking for them does not walk the many."""
    store = Store(sqlite_url, keyring)
    with store.read() as tx:
        plan = tx.execute(text("EXPLAIN QUERY PLAN SELECT site, count(*) FROM accounts WHERE stuck IS NOT NULL"
                               " GROUP BY site")).all()
    store.close()
    assert "ix_accounts_stuck" in str(plan)


def test_waiting_work_is_what_is_due_and_nobodys(world: World) -> None:
    """A claimed account waits for nobody; one that is due later does not wait yet."""
    world.add(new(1), active(2, warned=1, ends_at=NOW - HOUR), active(3, warned=1, ends_at=NOW + HOUR))
    found = ask(world, overview.waiting, NOW)
    assert (found[Owed.PROVISION].count, found[Owed.FENCE].count, found[Owed.RECLAIM].count) == (1, 1, 0)
    assert found[Owed.FENCE].since == NOW - HOUR
    world.claim(owed=frozenset({Owed.FENCE}))
    assert ask(world, overview.waiting, NOW)[Owed.FENCE].count == 0


def test_unsent_callbacks_are_counted_by_sender(world: World) -> None:
    """What was sent, or given up, is not waited for."""
    with world.store.write() as tx:
        ids = [outbox.put(tx, world.sender, "account.fenced", number(nth), {}, NOW - nth * HOUR) for nth in range(4)]
        outbox.sent(tx, ids[3], NOW)
        outbox.later(tx, ids[2], None, "gone")
    count, senders = ask(world, overview.unsent, NOW, 5)
    assert (count, [(one.sender, one.count, one.since) for one in senders]) == (
        2, [("nanjing-vouchers", 2, NOW - HOUR)])


def test_fences_of_ends_come_newest_first(world: World) -> None:
    """Not an operator's, not older ones."""
    def fenced(nth: int, at: timedelta, by: FencedBy) -> None:
        world.add(active(nth, state=State.FENCED, ends_at=NOW - at, fenced_at=NOW - at + seconds(1), fenced_by=by))

    fenced(1, 2 * HOUR, FencedBy.END)
    fenced(2, HOUR, FencedBy.END)
    fenced(3, HOUR, FencedBy.OPERATOR)
    fenced(4, 3 * DAY, FencedBy.END)
    found = ask(world, overview.fences, NOW - DAY, 10)
    assert [one.id for one in found] == [number(2), number(1)]
    assert {one.fenced_at - one.ends_at for one in found} == {seconds(1)}
