"""Rounds of the sites: due for one worker at a time, and never lost to a clock."""

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

from orchestrator.store import rounds
from tests.store.making import HOUR, NOW, World

KINDS = {"usage": HOUR, "outages": timedelta(minutes=1)}
LEASE = timedelta(minutes=30)
ALL = [(site, what) for site in ("nanjing", "wuxi") for what in KINDS]


def claim(world: World, now: datetime = NOW) -> list[tuple[str, str]]:
    with world.store.write() as tx:
        return rounds.claim(tx, KINDS, now, LEASE)


def again(world: World, at: datetime) -> None:
    with world.store.write() as tx:
        for site, what in ALL:
            rounds.again(tx, site, what, at)


def test_a_site_never_visited_is_due(world: World) -> None:
    """All of its rounds, at once."""
    assert claim(world) == ALL


def test_of_many_workers_at_once_one_gets_each_round(world: World) -> None:
    """Whoever comes first."""
    with ThreadPoolExecutor(6) as pool:
        taken = list(pool.map(claim, [world] * 6))
    assert sorted(one for of in taken for one in of) == sorted(ALL)


def test_what_a_dead_worker_took_is_due_again_after_the_lease(world: World) -> None:
    """At the latest after the round's own time."""
    claim(world)
    assert claim(world, NOW + LEASE - timedelta(seconds=1)) == [("nanjing", "outages"), ("wuxi", "outages")]
    assert claim(world, NOW + LEASE) == [("nanjing", "usage"), ("wuxi", "usage")]


def test_what_is_done_is_due_at_its_next_time(world: World) -> None:
    """Not before."""
    claim(world)
    again(world, NOW + timedelta(seconds=50))
    assert claim(world, NOW + timedelta(seconds=49)) == []
    assert claim(world, NOW + timedelta(seconds=50)) == ALL


def test_a_clock_that_was_set_back_keeps_no_round_waiting(world: World) -> None:
    """A day's jump and back: due now, and not in a day."""
    again(world, NOW + timedelta(days=1))
    assert claim(world) == ALL
