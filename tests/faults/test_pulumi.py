"""The whole life with Pulumi's own CLI, and a worker killed while Pulumi works."""

import os
import signal
from pathlib import Path

import pytest

from orchestrator.lifecycle.account import State
from tests.drive import until
from tests.faults.stage import LEASE_LAPSES, Processes, Stage, check_everything_ended


def _must(stage: Stage, goal: str) -> None:
    code = stage.processes.run(stage.order(goal, pulumi=True))
    assert code == 0, stage.records()


def test_a_whole_life_with_pulumi(stage: Stage) -> None:
    """Made, converted in place, fenced at the contract's end, reclaimed, nothing left among the states."""
    id = stage.redeem()
    _must(stage, "ACTIVE")
    uid = stage.uid(id)
    stage.ask(id)
    _must(stage, "CONTRACTED")
    with stage.site() as world:
        parts = world.tenancies[id].parts
    assert stage.uid(id) == uid
    assert parts["storage"]["storage"] == 96 * 2**20
    for seconds in (11 * 3600.0, 3700.0):
        stage.pass_time(seconds)
        _must(stage, "FENCED|RECLAIMED")
    check_everything_ended(stage)
    assert list((stage.home / "stacks" / "states").rglob(f"*{id}*")) == []


@pytest.mark.parametrize("part", ["account", "storage", "containers"])
def test_a_worker_killed_while_pulumi_makes_a_part_is_taken_over(stage: Stage, processes: Processes,
                                                                 part: str) -> None:
    """Killed when that part has just appeared at the site: the next worker finishes, with the same parts."""
    id = stage.redeem()
    with stage.site() as world:
        world.faults.slow = 0.05
    pid = processes.start(stage.order("ACTIVE", pulumi=True))

    def there() -> bool | None:
        with stage.site() as world:
            return part in world.tenancies[id].parts or None if id in world.tenancies else None

    until(f"{part} at the site", there, within=60)
    os.kill(pid, signal.SIGKILL)
    assert processes.finish() == -signal.SIGKILL
    uid = stage.uid(id)
    with stage.site() as world:
        world.faults.slow = 0.0
    stage.pass_time(LEASE_LAPSES)
    _must(stage, "ACTIVE")
    assert stage.uid(id) == uid
    for _ in range(2):
        stage.pass_time(3700.0)
        _must(stage, "FENCED|RECLAIMED")
    check_everything_ended(stage)


def test_a_state_cut_short_is_reported_and_never_made_anew(stage: Stage) -> None:
    """Truncated while the account is usable: the conversion is STUCK for an operator, and the account goes on."""
    id = stage.redeem()
    _must(stage, "ACTIVE")
    [state] = [path for path in (stage.home / "stacks").rglob(f"{id}.json") if "/stacks/tenure/" in str(path)]
    _cut(state)
    stage.ask(id)
    _must(stage, "stuck")
    [record] = stage.records()
    assert record.account.state is State.ACTIVE
    assert record.stuck is not None
    assert (record.stuck.next, bool(record.stuck.remedy)) == ("operator", True)
    with stage.site() as world:
        assert world.tenancies[id].usable


def _cut(state: Path) -> None:
    state.write_bytes(state.read_bytes()[:100])
