"""Workers that are paused, doubled, or not there at all."""

import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import update

from orchestrator.flows.work.sweep import Sweep
from orchestrator.lifecycle.account import State
from orchestrator.lifecycle.errors import RuleError
from orchestrator.store import sites, tables, vouchers
from orchestrator.store.sites import Places
from tests.faults.stage import LEASE_LAPSES, Processes, Stage, check_everything_ended
from tests.faults.test_kill9 import SCENES, Scene
from tests.flows.town import Town, town

PAUSED = ["provision.up", "provision.open", "provision.active", "fence.site", "fence.save", "reclaim.destroy",
          "reclaim.clean", "reclaim.done", "convert.arm", "convert.up", "convert.done"]


@pytest.mark.parametrize("name", PAUSED)
def test_a_worker_paused_there_and_resumed_changes_nothing(stage: Stage, processes: Processes, name: str) -> None:
    """SIGSTOP before the effect; another worker takes over and finishes; SIGCONT: the late one is refused."""
    scene: Scene = SCENES[name]
    scene[0](stage)
    goal = {"provision": "ACTIVE", "fence": "FENCED", "reclaim": "RECLAIMED", "convert": "CONTRACTED"}[
        name.split(".")[0]]
    processes.start(stage.order(goal, f"{name}.before=stop", scene[1]))
    processes.stopped()
    stage.pass_time(LEASE_LAPSES)
    other = Processes()
    assert other.run(stage.order(goal)) == 0
    other.close()
    before = stage.records()
    processes.go_on()
    assert processes.finish() == 0
    assert [record.account.state for record in stage.records()] == [record.account.state for record in before]
    stage.to_the_end()
    check_everything_ended(stage)


def test_off_past_the_end_the_site_ends_it_alone(stage: Stage) -> None:
    """Killed before the end, back after grace: nobody could use it in between, and it is taken away."""
    stage.redeem()
    stage.must("ACTIVE")
    stage.pass_time(3600)
    with stage.site() as world:
        assert not any(tenancy.usable for tenancy in world.tenancies.values())
    stage.pass_time(3600)
    stage.must("RECLAIMED")
    check_everything_ended(stage)


def test_two_worker_processes_do_each_thing_once(stage: Stage, processes: Processes) -> None:
    """Two at once on one database, from the redemption to the end: nothing twice."""
    ids = [stage.redeem(f"e-{number + 1}", number) for number in range(6)]
    other = Processes()
    for goal, seconds in (("ACTIVE", 0), ("FENCED", 3600.0), ("RECLAIMED", 3600.0)):
        stage.pass_time(seconds)
        processes.start(stage.order(goal))
        other.start(stage.order(goal))
        assert (processes.finish(), other.finish()) == (0, 0)
    other.close()
    assert len(ids) == 6
    check_everything_ended(stage, events=6)


def test_a_worker_killed_from_outside_in_mid_flight_loses_nothing(stage: Stage, processes: Processes) -> None:
    """Not at a failpoint but anywhere: killed again and again while six accounts are made and ended."""
    for number in range(6):
        stage.redeem(f"e-{number + 1}", number)
    for goal, seconds in (("ACTIVE", 0.0), ("FENCED", 3600.0), ("RECLAIMED", 3600.0)):
        stage.pass_time(seconds)
        pid = processes.start(stage.order(goal))
        os.kill(pid, signal.SIGKILL)
        processes.finish()
        stage.pass_time(LEASE_LAPSES)
        stage.must(goal)
    check_everything_ended(stage, events=6)


def test_four_hundred_ends_with_one_poisoned_and_one_dead_site(tmp_path: Path) -> None:
    """Everybody else's fence is done while the dead site's calls still hang."""
    with town(tmp_path / "home", ("north", "south")) as made:
        ids = _actives(made, 400)
        poisoned = ids["north"][3]
        gate, hanging = threading.Event(), threading.Event()
        _poison_and_kill(made, poisoned, gate, hanging)
        made.advance(made.offer.duration)
        with Sweep(made.ctx) as sweep:
            worker = threading.Thread(target=sweep.tick, args=(made.clock.at,))
            worker.start()
            assert hanging.wait(30)
            worker.join(60)
            left = _until_calm(made, ids["north"], poisoned)
            unfenced = [id for id in ids["south"] if made.account(id).state is State.ACTIVE]
            gate.set()
            assert sweep.idle(60)
        assert left == {poisoned}
        assert unfenced == ids["south"]
        stuck = made.record(ids["south"][0]).stuck
        assert stuck is not None
        assert stuck.what == "fence"


def _actives(made: Town, count: int) -> dict[str, list[str]]:
    codes = made.codes(count)
    ids = [made.redeem(code).account for code in codes]
    with made.store.write() as tx:
        tx.execute(update(tables.accounts).where(tables.accounts.c.id.in_(ids[::2])).values(site="south"))
    made.work()
    assert {record.account.state for record in made.all()} == {State.ACTIVE}
    return {"south": ids[::2], "north": ids[1::2]}


def _poison_and_kill(made: Town, poisoned: str, gate: threading.Event, hanging: threading.Event) -> None:
    with made.sites["north"].keeper.held() as world:
        world.faults.poisoned = [poisoned]
    south = made.sites["south"]

    class Dead:
        """Calls hang until the gate opens, then fail."""

        def __getattr__(self, name: str) -> object:
            return self._hang if name in ("fence", "now", "warn") else getattr(south, name)

        def _hang(self, *_: object) -> None:
            hanging.set()
            assert gate.wait(60)
            raise TimeoutError("site south does not answer")

    made.instead("south", Dead())


def _until_calm(made: Town, ids: list[str], poisoned: str) -> set[str]:
    """Those not fenced once no other than the poisoned one is left (or after a while, which fails the test)."""
    pause = threading.Event()
    for _ in range(6000):
        left = {id for id in ids if made.account(id).state is not State.FENCED}
        if left <= {poisoned}:
            return left
        pause.wait(0.01)
    return left


def test_a_thousand_at_once_for_a_hundred_places(tmp_path: Path) -> None:
    """100 accounts, 900 clear refusals whose vouchers are intact, and the refused may come again."""
    with town(tmp_path / "home", places=100) as made:
        codes = made.codes(1000)

        def one(code: str) -> str:
            try:
                return made.redeem(code, event=f"e-{code}").account
            except RuleError as refused:
                return refused.code

        with ThreadPoolExecutor(32) as crowd:
            answers = list(crowd.map(one, codes))
        with made.store.read() as tx:
            states = [row.voucher.state.value for row in vouchers.list_(tx, limit=2000)]
        refused = codes[answers.index("no_capacity")]
        with made.store.write() as tx:
            sites.put_places(tx, "north", [Places("north", made.offer.name, 101)])
        again = one(refused)
        assert answers.count("no_capacity") == 900
        assert len({answer for answer in answers if answer != "no_capacity"}) == 100
        assert (states.count("issued"), states.count("redeemed")) == (900, 100)
        assert made.account(again).state is State.REQUESTED


def test_the_same_event_a_hundred_times_at_once_is_one_account(tmp_path: Path) -> None:
    """One account, and the same answer to all."""
    with town(tmp_path / "home") as made:
        code = made.codes()[0]
        with ThreadPoolExecutor(32) as crowd:
            answers = set(crowd.map(lambda _: made.redeem(code, event="e-1"), range(100)))
        assert len(answers) == 1
        assert len(made.all()) == 1


def test_a_backlog_of_one_site_leaves_room_for_another(tmp_path: Path) -> None:
    """A site with a hundred requests that hang in Pulumi does not starve the one request of another site."""
    with town(tmp_path / "home", ("north", "south")) as made:
        codes = made.codes(101)
        many = [made.redeem(code).account for code in codes[:100]]
        made.clock.at += timedelta(seconds=1)
        one = made.redeem(codes[100]).account
        with made.store.write() as tx:
            tx.execute(update(tables.accounts).where(tables.accounts.c.id == one).values(site="south"))
        order = []
        made.stacks.before = lambda operation, account: order.append(account)
        made.work()
        assert len(many) == 100
        assert order.index(one) < 10
