"""The site's own end: a daemon that fences what is due by this host's clock, with Tenure dead or alive.

It never deletes anything. What could keep it waiting (limits after a reboot, meters) is done in a thread beside."""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from types import FrameType
from typing import Any

from . import boot, cgroups, fence, files, lease, lock, meters, paths, processes, rescue, restore, site
from .cluster import Cluster
from .config import Config
from .errors import SiteFault

TICK = 0.25
LOOK_EVERY = 5.0
WATCH_EVERY = 1.0
RETRY_EVERY = 2.0


@dataclass
class Reaper:
    """What the daemon remembers between two looks; all of it is on disk too, so it may die at any moment."""

    config: Config
    leases: dict[str, lease.Lease] = field(default_factory=dict)
    seen: dict[str, tuple[int, int]] = field(default_factory=dict)
    cut: dict[str, lease.Lease] = field(default_factory=dict)
    broken: set[str] = field(default_factory=set)
    folder: int = -1
    watch_at: float = 0.0
    beat_at: float = 0.0
    retry: dict[str, float] = field(default_factory=dict)
    restored: bool = False
    """Every live account's limits have been tried once: sshd may start."""
    stopping: bool = False
    cluster: Cluster = field(init=False)

    def __post_init__(self) -> None:
        self.cluster = Cluster(self.config)

    def loop(self) -> None:
        """Until SIGTERM."""
        while not self.stopping:
            guarded("a look at the leases", self.turn)
            now = time.time()
            leases = list(self.leases.values())
            next_ends = [one.end - now for one in leases if not one.fenced and one.end > now]
            next_ends += [one.rescue.until - now for one in leases if one.rescue and one.rescue.until > now]
            if not self.stopping:
                time.sleep(min([TICK, *next_ends]))

    def turn(self) -> None:
        """One look: ends first, then rescues that are over, then what was cut is looked over."""
        self.look()
        self.enforce()
        self.close_rescues()
        now = time.monotonic()
        if now >= self.watch_at:
            self.watch_at = now + WATCH_EVERY
            self.watch()
        if self.restored and now >= self.beat_at:
            self.beat_at = now + WATCH_EVERY
            beat(self.config)

    def look(self) -> None:
        """Read the leases that changed. One that cannot be read delays no other and lets nobody in."""
        folder = os.stat(self.config.state / "leases").st_mtime_ns
        if folder == self.folder:
            return
        present = lease.listed(self.config)
        for account in present:
            try:
                status = os.stat(paths.lease(self.config, account))
            except FileNotFoundError:
                continue
            stamp = (status.st_mtime_ns, status.st_ino)
            if self.seen.get(account) != stamp:
                self.read(account)
                self.seen[account] = stamp if settled(status.st_mtime_ns) else (0, 0)
        for account in set(self.seen) - set(present):
            for known in (self.seen, self.leases, self.cut, self.retry):
                known.pop(account, None)
            self.broken.discard(account)
        self.folder = folder if settled(folder) else -1

    def read(self, account: str) -> None:
        try:
            known = lease.read(self.config, account)
        except SiteFault as error:
            if account not in self.broken:
                say(f"{account}: {error}: cut off until its lease can be read")
            self.leases.pop(account, None)
            self.broken.add(account)
            return
        self.broken.discard(account)
        if known is not None:
            self.leases[account] = known

    def enforce(self) -> None:
        """One batch for all whose end has come and all whose fence was not seen through."""
        now = time.time()
        due = [
            account
            for account, known in self.leases.items()
            if (known.fenced or known.end <= now) and self.cut.get(account) != alone(known) and self.may_retry(account)
        ]
        if due:
            ends = [self.leases[account].end for account in due if not self.leases[account].fenced]
            for answer in fence.batch(self.config, [(account, None) for account in due], "end", now, cluster=False):
                self.take(answer)
            self.cluster.put(due)
            if ends:
                lag = f"begun {now - min(ends):+.3f} s, done {time.time() - min(ends):+.3f} s after the first"
                say(f"{len(ends)} ended: {lag}: {' '.join(due)}")
        lost = [account for account in self.broken if account not in self.cut and self.may_retry(account)]
        for account, problem in fence.cut(self.config, lost).items():
            self.put_off(account, str(problem))
        self.cluster.put(lost)
        for account in lost:
            if account not in self.retry:
                self.cut[account] = lease.Lease(0.0, 0)

    def close_rescues(self) -> None:
        """Where the time to fetch files after the end is over, nobody reads any more."""
        now = time.time()
        for account, known in list(self.leases.items()):
            if known.rescue is None or known.rescue.until > now or not self.may_retry(account):
                continue
            try:
                rescue.close(self.config, account, exports=False)
                self.read(account)
            except (SiteFault, OSError) as error:
                self.put_off(account, f"its rescue is over: {error}")

    def take(self, answer: dict[str, Any]) -> None:
        """Remember what the batch said about one account."""
        account = answer["account"]
        self.read(account)
        known = self.leases.get(account)
        if known is not None and not known.fenced and known.end > time.time():
            return
        if "error" in answer:
            self.put_off(account, answer["error"]["message"])
        elif known is not None:
            self.cut[account] = alone(known)
            self.retry.pop(account, None)

    def may_retry(self, account: str) -> bool:
        return time.monotonic() >= self.retry.get(account, 0.0)

    def put_off(self, account: str, why: str) -> None:
        say(f"{account}: {why}: again in {RETRY_EVERY:g} s")
        self.retry[account] = time.monotonic() + RETRY_EVERY

    def watch(self) -> None:
        """A fenced account stays without processes, whatever was on its way when it was cut."""
        tree = cgroups.tree()
        for account in list(self.cut):
            tops = tree.tops(cgroups.path(self.config, account))[:1]
            found = processes.holders(cgroups.members(tops))
            if found and found - cgroups.within(rescue.spared(self.config, [account])):
                self.cut.pop(account)

    def stop(self, signum: int, frame: FrameType | None) -> None:
        self.stopping = True


class Upkeep:
    """Beside the ends: limits of live accounts come back after a reboot, and accounts are metered."""

    def __init__(self, reaper: Reaper) -> None:
        self.reaper = reaper
        self.retry: dict[str, float] = {}
        self.look_at = 0.0

    def loop(self) -> None:
        while not self.reaper.stopping:
            self.restore()
            self.reaper.restored = True
            if time.monotonic() >= self.look_at:
                self.look_at = time.monotonic() + LOOK_EVERY
                guarded("the meters", lambda: meters.look(self.reaper.config))
            time.sleep(TICK)

    def restore(self) -> None:
        """Every account whose logins were opened and whose limits do not stand since the last reboot."""
        config = self.reaper.config
        for account, known in list(self.reaper.leases.items()):
            if known.logins != "open" or time.monotonic() < self.retry.get(account, 0.0):
                continue
            if not boot.ready(config, account) and paths.account(config, account).exists():
                self.retry[account] = time.monotonic() + RETRY_EVERY
                guarded(f"{account}: restoring limits", partial(restore.account, config, account))


def alone(known: lease.Lease) -> lease.Lease:
    """What a fence has to do with of a lease: a rescue that begins or ends is no reason for another one."""
    return replace(known, rescue=None)


def settled(changed_ns: int) -> bool:
    """Whether a later change would show as another instant: the kernel's clock for files ticks every few ms."""
    return time.time() - changed_ns / 1e9 > 0.1


def guarded(what: str, do: Callable[[], None]) -> None:
    """What fails is said aloud and tried again; it never stops the ends."""
    try:
        do()
    except (SiteFault, OSError, ValueError) as error:
        say(f"{what}: {error}")


def beat(config: Config) -> None:
    """Show `check` that the reaper lives."""
    files.write(config.run / "reaper", f"{os.getpid()}\n", sync=False)


def say(text: str) -> None:
    """One line on the daemon's log."""
    print(f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())} {text}", file=sys.stderr, flush=True)  # noqa: T201


def main(config: Config) -> int:
    """Run until SIGTERM. Only one reaper per site: a second one waits its turn."""
    site.folders(config)
    with lock.held(config, "reaper", 30.0):
        reaper = Reaper(config)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, reaper.stop)
        guarded("the first look at the leases", reaper.turn)
        threading.Thread(target=Upkeep(reaper).loop, name="upkeep").start()
        threading.Thread(target=reaper.cluster.loop, name="cluster", daemon=True).start()
        reaper.loop()
    return 0
