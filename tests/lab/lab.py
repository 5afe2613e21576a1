"""Bringing a lab up, taking it down, rebooting it. Up is idempotent; down takes away all that up made."""

import contextlib
import os
import pwd
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.lab import host, program
from tests.lab.accounts import clean
from tests.lab.client import Answered, Client
from tests.lab.place import Place, claim, claiming, find
from tests.lab.shell import pid_of, run, stop, until

CGROUPS = Path("/sys/fs/cgroup")
FOREVER = 1 << 62


class Lab:
    """One lab, by name."""

    def __init__(self, name: str = "lab") -> None:
        self.name = name

    @property
    def place(self) -> Place:
        return claim(self.name)

    def up(self, say: Callable[[str], None] = lambda text: None) -> Place:
        """Bring everything up that is not; an up-to-date lab takes a moment."""
        place = self.bare(say, host.group, host.operator)
        if program.install(place):
            program.stop_reaper(place)
        program.start_reaper(place)
        say("reaper")
        host.sshd(place)
        say("sshd")
        return place

    def bare(self, say: Callable[[str], None] = lambda text: None, *more: Callable[[Place], None]) -> Place:
        """A host with pool, network, keys and image, before any product is on it; sshd is not started yet."""
        host.fit()
        place = self.place
        for step in (host.folders, host.pool, host.network, host.keys, host.image, *more):
            step(place)
            say(step.__name__)
        return place

    def start_sshd(self) -> None:
        host.sshd(self.place)

    def start_reaper(self) -> None:
        program.start_reaper(self.place)

    def down(self) -> None:
        """Take everything away, also after a crash half-way."""
        place = find(self.name)
        if place is None:
            return
        with contextlib.suppress(Answered, RuntimeError, OSError):
            clean_accounts(place)
        stop(place, "sshd")
        stop(place, "reaper")
        self.before_wipe(place)
        wipe_accounts(place)
        for user in (place.operator,):
            run(["userdel", user], check=False)
        run(["groupdel", place.group], check=False)
        place.sudoers.unlink(missing_ok=True)
        if Path(f"/sys/class/net/{place.outer}").exists():
            run(["ip", "link", "delete", place.outer])
        if os.path.exists(f"/run/netns/{place.netns}"):
            run(["ip", "netns", "delete", place.netns])
        for mounted in mounts_below(place):
            run(["umount", mounted])
        shutil.rmtree(place.run, ignore_errors=True)
        with claiming():
            shutil.rmtree(place.folder)

    def before_wipe(self, place: Place) -> None:
        """What else ran at the site ends here; a lab with more on it says how."""

    def reboot(self, before_sshd: Callable[[], None] = lambda: None) -> None:
        """What a reboot of the host does to the site: no process, cgroup, namespace, packet filter or run folder
        survives; then the reaper starts, then sshd. Disks stay."""
        place = self.place
        stop(place, "sshd")
        stop(place, "reaper", signal.SIGKILL)
        lose_runtime(place)
        shutil.rmtree(place.run, ignore_errors=True)
        place.run.mkdir(parents=True)
        program.start_reaper(place)
        before_sshd()
        host.sshd(place)

    def client(self) -> Client:
        return Client(self.place)

    def status(self) -> dict[str, Any] | None:
        """What is up, or None when there is no such lab."""
        place = find(self.name)
        if place is None:
            return None
        return {
            "name": place.name,
            "address": place.address,
            "folder": str(place.folder),
            "reaper": pid_of(place, "reaper"),
            "sshd": pid_of(place, "sshd"),
            "pool": os.path.ismount(place.path("pool")),
            "accounts": sorted(user.pw_name for user in users(place)),
            "operator": place.operator,
            "operator_key": str(place.path("keys/operator")),
            "host_key": place.path("keys/host.pub").read_text().strip()
            if place.path("keys/host.pub").exists()
            else None,
        }


def users(place: Place) -> list[pwd.struct_passwd]:
    """Unix users in the lab's range of uids."""
    return [user for user in pwd.getpwall() if place.uid_min <= user.pw_uid <= place.uid_max]


def clean_accounts(place: Place) -> None:
    """By the product's own means."""
    if not Path(program.launcher(place)).exists():
        return
    with Client(place) as client:
        for account in client.call("accounts"):
            client.call("fence", batch=[[account, FOREVER]], by="operator")
            clean(client, (account, FOREVER))


def wipe_accounts(place: Place) -> None:
    """Without the product: what its clean would have taken, by uid range and cgroup."""
    lose_runtime(place)
    for user in users(place):
        run(["userdel", user.pw_name], check=False)
    for top in cgroup_tops(place):
        for folder, _, _ in os.walk(top, topdown=False):
            with contextlib.suppress(OSError):
                os.rmdir(folder)


def lose_runtime(place: Place) -> None:
    """Kill every process of the site's accounts, and take away their cgroups, namespaces, mounts and packet filter."""
    until(lambda: not kill_all(place), "the accounts' processes to die")
    until(lambda: not remove_cgroups(place), "the accounts' cgroups to empty")
    ledger = place.path("state/uids")
    rows = [line.split() for line in ledger.read_text().splitlines()] if ledger.exists() else []
    for account in (row[1] for row in rows if len(row) == 2):
        if os.path.exists(f"/run/netns/tn-{account}"):
            run(["ip", "netns", "delete", f"tn-{account}"], check=False)
    if os.path.exists(f"/run/netns/{place.netns}"):
        run([*place.inside, "nft", "delete", "table", "inet", place.nft_table], check=False)
    for mounted in mounts_below(place):
        if mounted != str(place.path("pool")):
            run(["umount", mounted], check=False)


def kill_all(place: Place) -> bool:
    """SIGKILL whatever is in the lab's cgroups or has one of its uids; whether there was anything."""
    found = set()
    for top in cgroup_tops(place):
        for folder, _, _ in os.walk(top):
            with contextlib.suppress(OSError):
                found |= {int(pid) for pid in Path(folder, "cgroup.procs").read_text().split()}
    for name in os.listdir("/proc"):
        with contextlib.suppress(OSError, ValueError):
            ours = name.isdigit() and place.uid_min <= os.stat(f"/proc/{name}").st_uid <= place.uid_max
            if ours and Path(f"/proc/{name}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX":
                found.add(int(name))
    for pid in found:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return bool(found)


def remove_cgroups(place: Place) -> bool:
    """Remove the lab's empty cgroups; whether any is left."""
    for top in cgroup_tops(place):
        for folder, _, _ in os.walk(top, topdown=False):
            with contextlib.suppress(OSError):
                os.rmdir(folder)
    return bool(cgroup_tops(place))


def cgroup_tops(place: Place) -> list[Path]:
    """The lab's parent cgroup in every hierarchy."""
    return [top for root in (CGROUPS, *CGROUPS.iterdir()) if (top := root / place.cgroup).is_dir()]


def mounts_below(place: Place) -> list[str]:
    """Mount points in the lab's folders, innermost first."""
    targets = [row.split()[4] for row in Path("/proc/self/mountinfo").read_text().splitlines()]
    below = (f"{place.folder}/", f"{place.run}/")
    return sorted((one for one in targets if one.startswith(below)), key=len, reverse=True)
