"""cgroup v2 beside v1: limits as files, freezing and killing on a real cgroup2 tree."""

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from providers.host.onsite import cgroups, processes, spec
from tests.lab.accounts import spec as sizes
from tests.lab.shell import run, until

WANTED = spec.parse(sizes("abcdefghij", cpu_milli=1500, memory=256 << 20, pids=200))


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    """A folder in the place of a cgroup2 tree: what is written can be read."""
    (tmp_path / "tenure/abcdefghij").mkdir(parents=True)
    (tmp_path / "tenure/abcdefghij/memory.swap.max").write_text("max")
    return tmp_path


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[Path]:
    """The machine's cgroup2 hierarchy, mounted for the test."""
    run(["mount", "-t", "cgroup2", "none", str(tmp_path)])
    try:
        yield tmp_path
    finally:
        run(["umount", str(tmp_path)])


def test_v2_limits_read_back(plain: Path) -> None:
    """What is set on cgroup v2 is what is seen."""
    two = cgroups.Two(plain)
    two.limit("tenure/abcdefghij", WANTED)
    assert two.limits("tenure/abcdefghij") == {"cpu_milli": 1500, "memory": 256 << 20, "pids": 200}


def test_v2_gives_no_swap(plain: Path) -> None:
    """On cgroup v2 the way into swap is shut."""
    cgroups.Two(plain).limit("tenure/abcdefghij", WANTED)
    assert (plain / "tenure/abcdefghij/memory.swap.max").read_text() == "0"


@pytest.mark.parametrize("above", [".", "tenure", "tenure/abcdefghij"])
def test_v2_hands_controllers_down(plain: Path, above: str) -> None:
    """Every folder above the containers hands its controllers on."""
    cgroups.Two(plain).limit("tenure/abcdefghij", WANTED)
    assert (plain / above / "cgroup.subtree_control").read_text() == "+cpu +memory +pids"


def test_v2_no_folder_is_no_limits(tmp_path: Path) -> None:
    """An account that has no cgroup has no limits."""
    assert cgroups.Two(tmp_path).limits("tenure/abcdefghij") is None


def test_v2_freezes_and_what_is_frozen_dies(tree: Path) -> None:
    """A frozen process gets its SIGKILL once it is thawed, before it runs again."""
    folder = tree / f"tenure-test-{os.getpid()}/abcdefghij"
    folder.mkdir(parents=True)
    two, path = cgroups.Two(tree), str(folder.relative_to(tree))
    process = subprocess.Popen(["sleep", "600"])
    try:
        (folder / "cgroup.procs").write_text(str(process.pid))
        two.freeze(path, True)
        until(lambda: two.frozen(path), "the freeze")
        for pid in processes.holders(cgroups.members(two.tops(path))):
            processes.signal_to(pid)
        two.freeze(path, False)
        assert process.wait(20) == -signal.SIGKILL
    finally:
        process.kill()
        until(lambda: not cgroups.members([folder]), "the cgroup to empty")
        folder.rmdir()
        folder.parent.rmdir()


NAMED = "import time; open('/proc/self/comm', 'w').write('conmon'); time.sleep(600)"


def named_conmon(*before: str) -> subprocess.Popen[bytes]:
    """A process that calls itself conmon."""
    process = subprocess.Popen([*before, "/usr/bin/python3", "-c", NAMED])
    until(lambda: Path(f"/proc/{process.pid}/comm").read_text() == "conmon\n", "its name")
    return process


def test_a_root_process_named_conmon_is_spared() -> None:
    """podman's watcher lives on, so that podman learns of the end."""
    with named_conmon() as process:
        assert processes.holders({process.pid}) == set()
        process.kill()


def test_a_holders_process_named_conmon_is_not_spared() -> None:
    """Calling oneself conmon is no way to survive."""
    with named_conmon("setpriv", "--reuid=1999999", "--clear-groups") as process:
        assert processes.holders({process.pid}) == {process.pid}
        process.kill()


@pytest.mark.parametrize(("memory", "buffers"), [(64 << 20, 8 << 20), (64 << 30, 64 << 20)])
@pytest.mark.parametrize("below", [".", "shell"])
def test_v1_bounds_socket_buffers(tmp_path: Path, below: str, memory: int, buffers: int) -> None:
    """v1 counts them apart from the account's memory: without a limit of their own the host's TCP stops."""
    knob = tmp_path / "memory/tenure/abcdefghij" / below / cgroups.BUFFER_KNOB
    knob.parent.mkdir(parents=True)
    knob.write_text("9223372036854771712")
    cgroups.One(tmp_path).limit("tenure/abcdefghij", spec.parse(sizes("abcdefghij", memory=memory)))
    assert knob.read_text() == str(buffers)


def test_v2_meters_leave_the_file_cache_out(plain: Path) -> None:
    """What the kernel would give back is nobody's use; CPU is in microseconds."""
    top = plain / "tenure/abcdefghij"
    (top / "memory.current").write_text("5000\n")
    (top / "memory.stat").write_text("anon 1\nactive_file 9\ninactive_file 1200\n")
    (top / "cpu.stat").write_text("usage_usec 77\nuser_usec 1\n")
    seen = cgroups.Two(plain).counted("tenure/abcdefghij")
    assert seen == cgroups.Counted(top.stat().st_ino, 77, 3800)


def test_v1_meters_leave_the_file_cache_out(tmp_path: Path) -> None:
    """The same from version 1's files, whose own rows are about the folder alone."""
    cpu, memory = (tmp_path / name / "tenure/abcdefghij" for name in ("cpuacct", "memory"))
    for folder in (cpu, memory):
        folder.mkdir(parents=True)
    (memory / "memory.usage_in_bytes").write_text("5000\n")
    (memory / "memory.stat").write_text("inactive_file 1\ntotal_active_file 9\ntotal_inactive_file 1200\n")
    (cpu / "cpuacct.usage").write_text("77999\n")
    seen = cgroups.One(tmp_path).counted("tenure/abcdefghij")
    assert seen == cgroups.Counted(cpu.stat().st_ino, 77, 3800)


@pytest.mark.parametrize("kind", [cgroups.One, cgroups.Two])
def test_without_folders_there_is_nothing_to_meter(tmp_path: Path, kind: type[cgroups.Tree]) -> None:
    """An account that has no cgroup runs nothing."""
    assert kind(tmp_path).counted("tenure/abcdefghij") is None  # type: ignore[call-arg]
