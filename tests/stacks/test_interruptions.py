"""What is left after Pulumi's CLI or its worker dies in the middle, and how it is put right."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from providers.memory.site import MemorySite, connect
from providers.protocol import PARTS, Spec
from stacks.errors import StackBroken, StackFailed, StackLocked
from stacks.runner import LIMIT, Stacks
from tests.providers import specs
from tests.stacks.conftest import PASSPHRASE
from tests.stacks.sites import Gate, before


def state_of(stacks: Stacks, spec: Spec) -> Path:
    return stacks.home / "states" / ".pulumi" / "stacks" / "tenure" / f"{spec.account}.json"


def locks_of(stacks: Stacks, spec: Spec) -> list[Path]:
    return list((stacks.home / "states" / ".pulumi" / "locks").rglob(f"{spec.account}/*.json"))


def pending_in(state: Path) -> list[object]:
    return json.loads(state.read_text())["checkpoint"]["latest"].get("pending_operations") or []


@contextmanager
def interrupted(stacks: Stacks, site: MemorySite, spec: Spec) -> Iterator[None]:
    """An `up` whose CLI was killed while it made the storage. What was under way at the site is carried out there."""
    whole, gate = site.parts, Gate()
    before(site, "storage", gate)
    with ThreadPoolExecutor(1) as pool:
        up = pool.submit(stacks.up, spec.account, spec, site)
        assert gate.reached.wait(60)
        os.kill(json.loads(locks_of(stacks, spec)[0].read_text())["pid"], signal.SIGKILL)
        with pytest.raises(StackFailed, match="ended with -9"):
            up.result(60)
        gate.go.set()
    wait_until(lambda: whole["storage"].observe(spec) is not None)
    site.parts = whole
    yield


def wait_until(done: object) -> None:
    assert callable(done)
    deadline = time.monotonic() + 60
    while not done():
        assert time.monotonic() < deadline, "it never came to be"
        time.sleep(0.01)


def test_a_killed_cli_leaves_its_lock_and_a_pending_create(stacks: Stacks, site: MemorySite, spec: Spec) -> None:
    """Both are what the next tests put right; should Pulumi ever clean up by itself, they prove nothing."""
    with interrupted(stacks, site, spec):
        assert locks_of(stacks, spec) != []
        assert pending_in(state_of(stacks, spec)) != []


def test_up_after_a_killed_cli_adopts_what_is_there(stacks: Stacks, site: MemorySite, spec: Spec) -> None:
    """The dead process's lock goes, the storage that nobody noted is found by its name, nothing is made twice."""
    with interrupted(stacks, site, spec):
        there = {name: site.parts[name].observe(spec) for name in ("account", "storage")}
    told = stacks.up(spec.account, spec, site).parts
    assert {name: told[name] for name in ("account", "storage")} == there
    assert set(told) == set(PARTS)
    assert (locks_of(stacks, spec), pending_in(state_of(stacks, spec))) == ([], [])


def test_repair_tells_what_was_interrupted(stacks: Stacks, site: MemorySite, spec: Spec) -> None:
    """Lock and pending operation go; each is told; a second repair has nothing to do."""
    with interrupted(stacks, site, spec):
        told = stacks.repair(spec.account)
    # Parts that stand on nothing of each other are made at once: there may be one more.
    assert all("interrupted creating" in one for one in told)
    assert any("Storage::storage" in one for one in told)
    assert stacks.repair(spec.account) == []
    assert locks_of(stacks, spec) == []


def test_destroy_after_a_killed_cli(stacks: Stacks, site: MemorySite, spec: Spec) -> None:
    """What the state knows is removed; what it never noted is the site's to list as left over."""
    with interrupted(stacks, site, spec):
        stacks.destroy(spec.account, spec, site)
    assert site.parts["account"].observe(spec) is None
    assert site.leftovers(spec.account) != []


def test_a_lock_of_another_machine_is_left_alone(stacks: Stacks, site: MemorySite, spec: Spec) -> None:
    """Whether its holder lives cannot be known here: the error names it, and only `repair` takes the lock away."""
    stacks.up(spec.account, spec, site)
    hold(stacks, spec, "elsewhere", 1, datetime.now(UTC))
    with pytest.raises(StackLocked) as caught:
        stacks.up(spec.account, spec, site)
    assert "tenure@elsewhere (pid 1)" in caught.value.holder
    stacks.repair(spec.account)
    stacks.up(spec.account, spec, site)


def test_a_lock_of_a_process_that_is_no_more_is_taken_away(stacks: Stacks, site: MemorySite, spec: Spec) -> None:
    """Its number may have gone to another program in the meantime: this test's own is not Pulumi's."""
    stacks.up(spec.account, spec, site)
    hold(stacks, spec, os.uname().nodename, os.getpid(), datetime.now(UTC))
    stacks.refresh(spec.account, spec, site)
    assert locks_of(stacks, spec) == []


def test_a_lock_older_than_any_run_is_taken_away(stacks: Stacks, site: MemorySite, spec: Spec) -> None:
    """Whatever machine it is of: every run is killed at its time-out."""
    stacks.up(spec.account, spec, site)
    hold(stacks, spec, "elsewhere", 1, datetime.now(UTC) - 3 * LIMIT)
    stacks.up(spec.account, spec, site)
    assert locks_of(stacks, spec) == []


def hold(stacks: Stacks, spec: Spec, host: str, pid: int, since: datetime) -> None:
    folder = stacks.home / "states/.pulumi/locks/organization/tenure" / spec.account
    folder.mkdir(parents=True, exist_ok=True)
    lock = {"pid": pid, "username": "tenure", "hostname": host, "timestamp": since.isoformat()}
    (folder / "00000000-0000-0000-0000-000000000000.json").write_text(json.dumps(lock))


def test_a_cli_whose_worker_was_killed_ends_in_good_order(tmp_path: Path) -> None:
    """It notes what was made and lets go of the lock; the next worker waits for that, then goes on."""
    spec, file = specs.spec(), str(tmp_path / "site")
    site = connect("shared", {"file": file}, {})
    command = [sys.executable, "-m", "tests.stacks.worker", str(tmp_path), file, spec.account]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as worker:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "reached the storage\n"
        worker.kill()
    uid = site.parts["account"].observe(spec)
    with Stacks(None, tmp_path, PASSPHRASE) as successor:
        told = successor.up(spec.account, spec, site).parts
        assert pending_in(state_of(successor, spec)) == []
    assert set(told) == set(PARTS)
    assert told["account"] == uid


@pytest.mark.parametrize("left", [0, 1, 200])
def test_a_truncated_state_is_reported(stacks: Stacks, site: MemorySite, spec: Spec, left: int) -> None:
    """Every operation names the file and the state before it; neither the file nor the site is touched."""
    stacks.up(spec.account, spec, site)
    state = state_of(stacks, spec)
    state.write_bytes(state.read_bytes()[:left])
    there = {name: site.parts[name].observe(spec) for name in PARTS}
    for operation in (stacks.up, stacks.preview, stacks.refresh, stacks.destroy):
        with pytest.raises(StackBroken) as caught:
            operation(spec.account, spec, site)
        assert f"{state}" in str(caught.value)
        assert f"{state}.bak" in caught.value.remedy
    with pytest.raises(StackBroken):
        stacks.repair(spec.account)
    assert state.stat().st_size == left
    assert there == {name: site.parts[name].observe(spec) for name in PARTS}


def test_the_remedy_for_a_truncated_state_works(stacks: Stacks, site: MemorySite, spec: Spec) -> None:
    """With the state before the last step put back, `up` finds the rest at the site by its name."""
    first = stacks.up(spec.account, spec, site)
    state = state_of(stacks, spec)
    state.write_bytes(state.read_bytes()[:100])
    state.write_bytes(state.with_name(state.name + ".bak").read_bytes())
    assert stacks.up(spec.account, spec, site) == first


def test_a_lost_state_is_reported(stacks: Stacks, site: MemorySite, spec: Spec) -> None:
    """A state that is gone while the one before it is there was not removed by Tenure."""
    stacks.up(spec.account, spec, site)
    state_of(stacks, spec).unlink()
    with pytest.raises(StackBroken, match="is gone"):
        stacks.up(spec.account, spec, site)


def test_a_cut_note_beside_the_state_harms_nothing(stacks: Stacks, site: MemorySite, spec: Spec) -> None:
    """The CLI's `.attrs`, where something else had them written: cut short they make a whole state unreadable."""
    first = stacks.up(spec.account, spec, site)
    state = state_of(stacks, spec)
    state.with_name(state.name + ".attrs").write_text("")
    assert stacks.up(spec.account, spec, site) == first


def test_a_run_leaves_no_note_beside_the_state(stacks: Stacks, site: MemorySite, spec: Spec) -> None:
    """They are not written in one piece."""
    stacks.up(spec.account, spec, site)
    assert list(state_of(stacks, spec).parent.glob(f"{spec.account}*.attrs")) == []


def test_a_state_that_the_cli_refuses_is_reported(stacks: Stacks, site: MemorySite, spec: Spec) -> None:
    """Whole as JSON, broken in itself: the CLI's own check says so, and it is no common failure."""
    stacks.up(spec.account, spec, site)
    state = state_of(stacks, spec)
    content = json.loads(state.read_text())
    content["checkpoint"]["latest"]["resources"].reverse()
    state.write_text(json.dumps(content))
    with pytest.raises(StackBroken):
        stacks.up(spec.account, spec, site)


def test_a_run_past_its_time_is_killed(tmp_path: Path, site: MemorySite, spec: Spec) -> None:
    """A part that never answers holds the stack up to its time-out only; the next `up` goes on."""
    whole, gate = site.parts, Gate()
    before(site, "network", gate)
    with Stacks(None, tmp_path, PASSPHRASE, limit=timedelta(seconds=3)) as hasty:
        with pytest.raises(StackFailed, match="killed at its time-out"):
            hasty.up(spec.account, spec, site)
        gate.go.set()
        site.parts = whole
    with Stacks(None, tmp_path, PASSPHRASE) as patient:
        assert set(patient.up(spec.account, spec, site).parts) == set(PARTS)


def test_another_passphrase_is_refused_at_the_start(tmp_path: Path) -> None:
    """Before any stack is touched."""
    with Stacks(None, tmp_path, PASSPHRASE):
        pass
    with pytest.raises(StackBroken, match="passphrase is not the one"):
        Stacks(None, tmp_path, "another").start()
