"""Finding and killing an account's processes: by cgroup, frozen first so that nothing can fork away, then by uid.

conmon, podman's root-owned watcher of each container, is spared: without it podman would go on saying "Up".
"""

import contextlib
import os
import signal
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from . import cgroups
from .config import Config
from .errors import Later

FREEZING = 0.2
"""Seconds that a batch waits for all of it to be frozen."""
PATIENCE = 1.5
"""Seconds in which all processes of a batch must be gone."""


def kill(config: Config, accounts: Mapping[str, int | None], spared: Sequence[str] = ()) -> None:
    """SIGKILL everything of these accounts (id: uid, or None when it has none) and see it gone; else Later. What is in
    the cgroups `spared` lives on."""
    freeze_and_kill(config, accounts, spared)
    until = time.monotonic() + PATIENCE
    while left := alive(config, accounts, spared):
        for pid in left:
            signal_to(pid)
        if time.monotonic() >= until:
            raise Later(f"processes still there after SIGKILL: {', '.join(map(str, sorted(left)[:20]))}")
        time.sleep(0.005)


def freeze_and_kill(config: Config, accounts: Mapping[str, int | None], spared: Sequence[str] = ()) -> None:
    """Freeze all, kill all, thaw all: a forking process cannot outrun this."""
    tree = cgroups.tree()
    own = [cgroups.path(config, account) for account in accounts]
    jobs = cgroups.jobs(accounts.values()) if config.slurm is not None else []
    below = own + jobs
    try:
        for path in below:
            tree.freeze(path, True)
        until = time.monotonic() + FREEZING
        # a process in uninterruptible sleep does not freeze: it gets its SIGKILL all the same
        while not all(tree.frozen(path) for path in below) and time.monotonic() < until:
            time.sleep(0.001)
        for path in own:
            # its own alone: to look through all accounts' for each of them takes seconds where hundreds end at once
            kept = cgroups.within([one for one in spared if one.startswith(f"{path}/")])
            for pid in holders(cgroups.members(tree.tops(path))) - kept:
                signal_to(pid)
        for pid in cgroups.members(cgroups.ROOT / "freezer" / path for path in jobs):
            signal_to(pid)
    finally:
        for path in below:
            tree.freeze(path, False)


def alive(config: Config, accounts: Mapping[str, int | None], spared: Sequence[str] = ()) -> set[int]:
    """Processes of these accounts, by cgroup and by any of the four uids that a process has, but for those in `spared`.
    """
    tree = cgroups.tree()
    tops = (top for account in accounts for top in tree.tops(cgroups.path(config, account)))
    uids = {uid for uid in accounts.values() if uid is not None}
    found = holders(cgroups.members(tops)) | (by_uid(uids) if uids else set())
    return {pid for pid in found - cgroups.within(spared) if running(pid)}


def holders(pids: set[int]) -> set[int]:
    """These processes without conmon, which is root's and named so; a holder's process is never root's."""
    return {pid for pid in pids if not is_conmon(pid)}


def is_conmon(pid: int) -> bool:
    try:
        if Path(f"/proc/{pid}/comm").read_text().strip() != "conmon":
            return False
        return set(uids_of(pid)) == {0}
    except OSError:
        return False


def by_uid(uids: set[int]) -> set[int]:
    """Every process with one of `uids` as its real, effective, saved or filesystem uid."""
    found = set()
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError):
                if not uids.isdisjoint(uids_of(int(name))):
                    found.add(int(name))
    return found


def uids_of(pid: int) -> list[int]:
    status = Path(f"/proc/{pid}/status").read_text()
    start = status.index("\nUid:") + 5
    return [int(uid) for uid in status[start : status.index("\n", start)].split()]


def parent(pid: int) -> int:
    """Whose child it is. OSError when it is gone."""
    return int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])


def running(pid: int) -> bool:
    """A zombie is gone already: it only waits to be reaped by its parent."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in ("Z", "X")
    except (OSError, IndexError):
        return False


def signal_to(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
