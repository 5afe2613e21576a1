"""One parent cgroup per account holds the total of its CPU, memory and pids, on cgroup v1 and v2 alike.

Logins live in its child `shell`, containers in children that podman makes, what reads an ended account's files in
`rescue` and `export`. Nothing of a holder is ever outside.
"""

import contextlib
import os
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from . import names
from .config import Config
from .errors import Later
from .spec import Spec

ROOT = Path("/sys/fs/cgroup")
SHELL, RESCUE, EXPORT = "shell", "rescue", "export"
PERIOD = 100_000
V1 = ("cpu", "cpuacct", "memory", "pids", "freezer")
BUFFER_KNOB = "memory.kmem.tcp.limit_in_bytes"
BUFFERS = 64 << 20
"""Most bytes of socket buffers that an account may hold on v1."""


@dataclass(frozen=True)
class Counted:
    """One cgroup's meters: CPU microseconds since it was made, and bytes of memory in use, without the file cache that
    the kernel would give back. `folder` is another one for each cgroup that ever has this path."""

    folder: int
    cpu: int
    memory: int


class Tree(Protocol):
    """The host's cgroup hierarchies, one flavour of them."""

    flavour: str

    def tops(self, path: str) -> list[Path]:
        """The folders of `path` in every hierarchy that is used."""

    def limit(self, path: str, spec: Spec) -> None:
        """Make the folders and set their limits; twice is once."""

    def limits(self, path: str) -> dict[str, int] | None:
        """The limits as the kernel shows them, or None when a folder is missing."""

    def freeze(self, path: str, frozen: bool) -> None:
        """Ask for it; a folder that is not there has nothing to freeze."""

    def frozen(self, path: str) -> bool:
        """Whether nothing in there runs any more."""

    def counted(self, path: str) -> "Counted | None":
        """What the account has used and holds, or None without its folders."""


class One:
    """cgroup v1: one hierarchy per controller."""

    flavour = "v1"

    def __init__(self, root: Path = ROOT) -> None:
        self.root = root

    def tops(self, path: str) -> list[Path]:
        return [self.root / name / path for name in V1]

    def limit(self, path: str, spec: Spec) -> None:
        for top in self.tops(path):
            (top / SHELL).mkdir(parents=True, exist_ok=True)
        cpu, memory, pids = (self.root / name / path for name in ("cpu", "memory", "pids"))
        put(cpu / "cpu.cfs_period_us", PERIOD)
        put(cpu / "cpu.cfs_quota_us", spec.cpu_milli * PERIOD // 1000)
        put(pids / "pids.max", spec.pids)
        with_swap = memory / "memory.memsw.limit_in_bytes"
        knobs = [memory / "memory.limit_in_bytes"]
        if with_swap.exists():
            # the kernel keeps memory <= memory+swap at every moment, so which comes first depends on the direction
            raised = spec.memory > get(with_swap)
            knobs = [with_swap, *knobs] if raised else [*knobs, with_swap]
        else:
            put(memory / "memory.swappiness", 0)
        for knob in knobs:
            put(knob, spec.memory)
        # v1 counts socket buffers apart, and only of a cgroup with a limit of its own: not of its children. TCP of the
        # whole host stops when they reach tcp_mem
        for buffers in (memory / BUFFER_KNOB, memory / SHELL / BUFFER_KNOB):
            if buffers.exists():
                put(buffers, min(spec.memory // 8, BUFFERS))

    def limits(self, path: str) -> dict[str, int] | None:
        cpu, memory, pids = (self.root / name / path for name in ("cpu", "memory", "pids"))
        try:
            seen = {
                "cpu_milli": get(cpu / "cpu.cfs_quota_us") * 1000 // get(cpu / "cpu.cfs_period_us"),
                "memory": get(memory / "memory.limit_in_bytes"),
                "pids": get(pids / "pids.max"),
            }
            with contextlib.suppress(FileNotFoundError):
                seen["memory"] = max(seen["memory"], get(memory / "memory.memsw.limit_in_bytes"))
        except FileNotFoundError:
            return None
        return seen if all(top.is_dir() for top in self.tops(f"{path}/{SHELL}")) else None

    def freeze(self, path: str, frozen: bool) -> None:
        with contextlib.suppress(FileNotFoundError):
            (self.root / "freezer" / path / "freezer.state").write_text("FROZEN" if frozen else "THAWED")

    def frozen(self, path: str) -> bool:
        with contextlib.suppress(FileNotFoundError):
            return (self.root / "freezer" / path / "freezer.state").read_text() == "FROZEN\n"
        return True

    def counted(self, path: str) -> Counted | None:
        cpu, memory = f"{self.root}/cpuacct/{path}", f"{self.root}/memory/{path}"
        try:
            given_back = row(text(f"{memory}/memory.stat"), "total_inactive_file ")
            held = max(0, int(text(f"{memory}/memory.usage_in_bytes")) - given_back)
            return Counted(os.stat(cpu).st_ino, int(text(f"{cpu}/cpuacct.usage")) // 1000, held)
        except FileNotFoundError:
            return None


class Two:
    """cgroup v2: one hierarchy for all."""

    flavour = "v2"

    def __init__(self, root: Path = ROOT) -> None:
        self.root = root

    def tops(self, path: str) -> list[Path]:
        return [self.root / path]

    def limit(self, path: str, spec: Spec) -> None:
        top = self.root / path
        top.mkdir(parents=True, exist_ok=True)
        for above in reversed([top, *top.parents][: len(Path(path).parts) + 1]):
            (above / "cgroup.subtree_control").write_text("+cpu +memory +pids")
        (top / SHELL).mkdir(exist_ok=True)
        (top / "cpu.max").write_text(f"{spec.cpu_milli * PERIOD // 1000} {PERIOD}")
        put(top / "pids.max", spec.pids)
        put(top / "memory.max", spec.memory)
        put(top / "memory.oom.group", 0)
        if (top / "memory.swap.max").exists():
            put(top / "memory.swap.max", 0)

    def limits(self, path: str) -> dict[str, int] | None:
        top = self.root / path
        try:
            quota, period = (top / "cpu.max").read_text().split()
            swap = top / "memory.swap.max"
            return {
                "cpu_milli": int(quota) * 1000 // int(period) if quota != "max" else -1,
                "memory": get(top / "memory.max") + (get(swap) if swap.exists() else 0),
                "pids": get(top / "pids.max"),
            }
        except FileNotFoundError:
            return None

    def freeze(self, path: str, frozen: bool) -> None:
        with contextlib.suppress(FileNotFoundError):
            (self.root / path / "cgroup.freeze").write_text("1" if frozen else "0")

    def frozen(self, path: str) -> bool:
        with contextlib.suppress(FileNotFoundError):
            return "frozen 1" in (self.root / path / "cgroup.events").read_text()
        return True

    def counted(self, path: str) -> Counted | None:
        top = f"{self.root}/{path}"
        try:
            given_back = row(text(f"{top}/memory.stat"), "inactive_file ")
            held = max(0, int(text(f"{top}/memory.current")) - given_back)
            return Counted(os.stat(top).st_ino, row(text(f"{top}/cpu.stat"), "usage_usec "), held)
        except FileNotFoundError:
            return None


def tree() -> Tree:
    """The flavour that this host has. Hybrid hosts count as v1: that is where their controllers are."""
    return Two() if (ROOT / "cgroup.controllers").exists() else One()


def put(knob: Path, value: int) -> None:
    knob.write_text(str(value))


def get(knob: Path) -> int:
    text = knob.read_text().strip()
    return -1 if text == "max" else int(text)


def text(file: str) -> str:
    with open(file) as knob:
        return knob.read()


def row(rows: str, name: str) -> int:
    """The number behind this name, which begins a row."""
    start = 0 if rows.startswith(name) else rows.index(f"\n{name}") + 1
    end = rows.find("\n", start)
    return int(rows[start + len(name) : end if end >= 0 else None])


def path(config: Config, account: str) -> str:
    """Of the account's parent cgroup, below each hierarchy's root."""
    return f"{config.cgroup}/{names.check(account)}"


def enter(config: Config, account: str, child: str = SHELL, pid: int = 0) -> None:
    """Move a process, the calling one when `pid` is 0, into the account's limits. Later when they do not stand."""
    try:
        for top in tree().tops(f"{path(config, account)}/{child}"):
            if child != SHELL:
                top.mkdir(exist_ok=True)
            (top / "cgroup.procs").write_text(str(pid))
    except FileNotFoundError as error:
        raise Later(f"{account}: its limits do not stand yet") from error


def within(below: Sequence[str]) -> set[int]:
    """Every process that has entered one of these cgroups, in the hierarchy that `enter` comes to last."""
    return members(tree().tops(one)[-1] for one in below)


def jobs(uids: Iterable[int | None]) -> list[str]:
    """Where cgroup v1's Slurm holds the processes of these uids' jobs, and they alone; its own helper is elsewhere."""
    wanted = {f"uid_{uid}" for uid in uids if uid is not None}
    found = (top for node in (ROOT / "freezer").glob("slurm*") for top in node.glob("uid_*"))
    return [f"{top.parent.name}/{top.name}" for top in found if top.name in wanted]


def everywhere(config: Config, account: str) -> list[Path]:
    """The account's folders in every hierarchy of the host, also in those that only podman uses."""
    below = path(config, account)
    return [top for top in (ROOT / below, *(one / below for one in sorted(ROOT.iterdir()))) if top.is_dir()]


def members(tops: Iterable[Path]) -> set[int]:
    """Every process in these folders and below."""
    pids: set[int] = set()
    for top in tops:
        for folder, _, _ in os.walk(top):
            with contextlib.suppress(FileNotFoundError, OSError):
                pids.update(int(pid) for pid in Path(folder, "cgroup.procs").read_text().split())
    return pids


def remove(config: Config, account: str) -> None:
    """Take the account's empty folders away. conmon outlives its container for a moment: waits up to two seconds."""
    until = time.monotonic() + 2.0
    while left := everywhere(config, account):
        for top in left:
            for folder, _, _ in os.walk(top, topdown=False):
                with contextlib.suppress(OSError):
                    os.rmdir(folder)
        if time.monotonic() >= until:
            raise Later(f"{account}: cgroup still in use: {', '.join(map(str, everywhere(config, account)))}")
        if everywhere(config, account):
            time.sleep(0.01)
