"""The scheduled teardown job: its rehearsal says what it would do, and it does just that, with no worker about."""

import threading
from datetime import timedelta

import pytest

from orchestrator.flows.accounts import operate
from orchestrator.flows.work.reap import Planned, plan, reap
from orchestrator.lifecycle.account import State
from tests.flows.town import START, Town

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def _what(planned: list[Planned], account: str) -> list[str]:
    return [one.what for one in planned if one.account == account]


def _expect(town: Town) -> timedelta:
    return town.offer.duration + town.offer.grace


def test_a_rehearsal_changes_nothing(town: Town) -> None:
    """Not one row, not one callback."""
    id = town.active()
    before = town.record(id)
    plan(town.ctx, START + timedelta(days=365))
    assert town.record(id) == before


def test_a_rehearsal_says_what_befalls_an_account_at_each_time(town: Town) -> None:
    """Runs, is warned, is fenced and kept, is fenced and deleted."""
    id = town.active()
    seen = [_what(plan(town.ctx, START + at), id) for at in (
        HOUR, town.offer.duration - HOUR, town.offer.duration, _expect(town))]
    assert seen == [["keep"], ["warn"], ["fence", "keep"], ["fence", "delete"]]


def test_a_rehearsal_says_how_much_would_be_deleted(town: Town) -> None:
    """The quota, and what the site says is stored."""
    id = town.active()
    with town.sites["north"].keeper.held() as world:
        world.tenancies[id].stored = 12345
    [deleted] = [one for one in plan(town.ctx, START + _expect(town)) if one.what == "delete"]
    assert (deleted.quota, deleted.stored) == (town.offer.storage, 12345)


def test_a_rehearsal_does_without_a_site_that_does_not_answer(town: Town) -> None:
    """Its sizes are unknown, the rest is said."""
    town.active()
    with town.sites["north"].keeper.held() as world:
        world.faults.dead = True
    [deleted] = [one for one in plan(town.ctx, START + _expect(town)) if one.what == "delete"]
    assert deleted.stored is None


def test_held_and_converting_accounts_are_kept(town: Town) -> None:
    """With the reason."""
    held, asked = town.active(), town.active()
    operate.hold(town.ctx, True, account=held, actor="test")
    town.ask(asked)
    planned = plan(town.ctx, START + _expect(town))
    reasons = {one.account: one.why for one in planned if one.what == "keep"}
    assert reasons[held] == "held"
    assert "C-1" in reasons[asked]


def test_it_fences_what_is_due_and_deletes_what_is_past_grace(town: Town) -> None:
    """With no server or worker running."""
    id = town.active()
    town.advance(town.offer.duration)
    fenced = reap(town.ctx)
    town.advance(town.offer.grace)
    deleted = reap(town.ctx)
    assert (fenced.fenced, fenced.deleted, fenced.stuck) == ([id], [], [])
    assert (deleted.fenced, deleted.deleted, deleted.stuck) == ([], [id], [])


def test_long_after_the_end_one_run_does_both(town: Town) -> None:
    """Fenced and deleted in the same run: the site has held the fence all the while."""
    id = town.active()
    town.advance(_expect(town))
    done = reap(town.ctx)
    assert (done.fenced, done.deleted) == ([id], [id])


def test_a_conversion_that_never_came_does_not_keep_it_from_its_fence(town: Town) -> None:
    """No worker is there to convert; the end is kept."""
    id = town.active()
    town.ask(id)
    town.advance(town.offer.duration)
    assert reap(town.ctx).fenced == [id]
    assert town.account(id).convert_asked


def test_it_does_no_more_than_it_is_told(town: Town) -> None:
    """`most` accounts, the earliest first; the rest is the next run's."""
    ids = [town.active() for _ in range(5)]
    town.advance(town.offer.duration)
    assert len(reap(town.ctx, most=2).fenced) == 2
    assert len(reap(town.ctx).fenced) == 3
    assert {town.account(id).state for id in ids} == {State.FENCED}


def test_two_runs_at_once_do_each_thing_once(town: Town) -> None:
    """Cron fires while the last run still works."""
    ids = [town.active() for _ in range(20)]
    town.advance(_expect(town))
    runs = [threading.Thread(target=reap, args=(town.worker(f"cron-{number}"),)) for number in range(2)]
    for run in runs:
        run.start()
    for run in runs:
        run.join()
    reap(town.ctx)
    assert {town.account(id).state for id in ids} == {State.RECLAIMED}
    assert all(town.told(id).count("account.reclaimed") == 1 for id in ids)


def test_what_it_could_not_do_is_named(town: Town) -> None:
    """A dead site: stuck, and the run ends all the same."""
    id = town.active()
    town.advance(town.offer.duration)
    with town.sites["north"].keeper.held() as world:
        world.faults.dead = True
    assert reap(town.ctx).stuck == [id]


def test_with_a_bound_too_what_it_could_not_do_is_named(town: Town) -> None:
    """Whichever it took up: nobody looks at a run that says that nothing is stuck."""
    ids = sorted(town.active() for _ in range(3))
    town.advance(town.offer.duration)
    with town.sites["north"].keeper.held() as world:
        world.faults.dead = True
    done = reap(town.ctx, most=1)
    assert len(done.stuck) == 1
    assert sorted(done.stuck + done.left) == ids


def test_it_makes_no_accounts(town: Town) -> None:
    """Provisioning is a worker's."""
    id = town.redeem().account
    reap(town.ctx)
    assert town.account(id).state is State.REQUESTED


def test_sizes_are_asked_of_what_is_listed_and_of_a_dead_site_once(town: Town, monkeypatch: pytest.MonkeyPatch
                                                                   ) -> None:
    """Many at a time; a rehearsal of a few of them measures just those."""
    ids = [town.active() for _ in range(12)]
    asked = list[str]()
    site = town.ctx.sites.get("north")
    stored = site.stored

    def counted(id: str) -> int | None:
        asked.append(id)
        return stored(id)

    monkeypatch.setattr(site, "stored", counted)
    later = town.clock.at + town.offer.duration + town.offer.grace
    assert all(one.stored is not None for one in plan(town.ctx, later) if one.what == "delete")
    assert sorted(asked) == sorted(ids)
    asked.clear()
    plan(town.ctx, later, most=12)
    assert len(asked) < 12
    with town.sites["north"].keeper.held() as world:
        world.faults.dead = True
    asked.clear()
    assert all(one.stored is None for one in plan(town.ctx, later))
    assert len(asked) == 1
