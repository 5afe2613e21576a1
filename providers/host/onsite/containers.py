"""The containers part: podman's storage for the account, and taking every trace of its containers away.

`remove` leaves no container, conmon, mount, record, run folder or cgroup of them. It works on what a crash or a reboot
left behind too, so it asks podman first and then looks for itself. How containers lie at the host: see podman.py.
"""

import contextlib
import os
import signal
import time
from pathlib import Path
from typing import Any

from . import cgroups, names, paths, podman
from .config import Config
from .errors import Later, Refused
from .run import run
from .spec import Account

PATIENCE = 5.0
"""Seconds that killed processes may take to be gone."""


def observe(config: Config, account: Account) -> dict[str, Any] | None:
    """What the gate lets containers have, or None while podman's storage is not laid out."""
    if not podman.laid_out(config, account.id):
        return None
    spec = account.spec
    return {
        "cgroup": cgroups.path(config, account.id),
        "containers": spec.containers,
        "images": sorted(spec.images),
        "models": sorted(spec.models),
    }


def ensure(config: Config, account: Account) -> dict[str, Any]:
    """Lay out podman's storage and read it back. Running containers go on."""
    spec = account.spec
    if spec.accelerators:
        chips = ", ".join(chip for chip, _ in spec.accelerators)
        raise Refused(f"{account.id}: this site has no accelerators to give ({chips})")
    if spec.set_aside:
        raise Refused(f"{account.id}: this site sets no capacity aside")
    if missing := sorted(set(spec.models) - config.models.keys()):
        raise Refused(f"{account.id}: this site has no model {', '.join(missing)}")
    if not paths.subvolume(config, account.id).is_dir():
        raise Refused(f"{account.id}: containers before storage")
    podman.prepare(config, account.id)
    seen = observe(config, account)
    if seen is None:
        raise Later(f"{account.id}: podman's storage reads back as missing")
    return seen


def remove(config: Config, account: str) -> None:
    """Kill and take away everything; already gone is success. The holder's home stays."""
    import shutil

    names.check(account)
    if podman.laid_out(config, account) and podman.existing(config, account):
        with contextlib.suppress(Later):
            podman.prepare(config, account)
            podman.call(config, account, "rm", "--all", "--force", "--time", "0", check=False)
    empty(config, account)
    for folder in belongings(config, account):
        for mounted in mounts(folder):
            run(["umount", mounted], check=False)
        if left := mounts(folder):
            raise Later(f"{account}: still mounted: {', '.join(left)}")
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(folder)


def traces(config: Config, account: str) -> list[str]:
    """What of the account's containers is still here."""
    found = [str(folder) for folder in belongings(config, account) if os.path.lexists(folder)]
    found += [point for folder in belongings(config, account) for point in mounts(folder)]
    return found + [str(folder) for folder in cgroups_of(config, account)]


def belongings(config: Config, account: str) -> list[Path]:
    """Every folder that podman or the gate makes for an account."""
    mine = [paths.podman_run(config, account), podman.records(config, account), paths.doors(config, account)]
    return [*mine, paths.graph(config, account), podman.logs(config, account)]


def cgroups_of(config: Config, account: str) -> list[Path]:
    """The cgroups of the account's containers and their conmons, and the gate's own, in every hierarchy."""
    tops = cgroups.everywhere(config, account)
    found = [one for top in tops for one in top.iterdir() if one.is_dir() and one.name != cgroups.SHELL]
    return found + podman.own_cgroups(config, account)


def empty(config: Config, account: str) -> None:
    """SIGKILL containers, conmons and the gate's helpers until none is left, then take their cgroups away. conmon
    outlives `podman rm` for a moment; Later when something stays."""
    until = time.monotonic() + PATIENCE
    while left := cgroups_of(config, account):
        for pid in cgroups.members(left):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for folder in (inner for one in left for inner, _, _ in os.walk(one, topdown=False)):
            with contextlib.suppress(OSError):
                os.rmdir(folder)
        if time.monotonic() >= until:
            raise Later(f"{account}: cgroup still in use: {', '.join(map(str, left))}")
        if cgroups_of(config, account):
            time.sleep(0.005)


def mounts(folder: Path) -> list[str]:
    """Every mount at or below `folder`, the innermost first."""
    with open("/proc/self/mounts") as file:
        points = [Path(plain(line.split()[1])) for line in file]
    return [str(point) for point in reversed(points) if point == folder or folder in point.parents]


def plain(text: str) -> str:
    """A path from the kernel's list of mounts, without its octal escapes."""
    for code, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        text = text.replace(code, character)
    return text
