"""The one door that stays after an end: until grace is over, the holder may fetch their own files, and only that.

The site holds until when, so it closes by itself. A fence by an operator, a contract and a reclaim close it at once.
What reads is in cgroups of its own, which a repeated fence at the end spares; everything else dies as ever.
"""

import contextlib
import os
import select
import subprocess
import time
from collections.abc import Iterator, Sequence

from . import access, boot, cgroups, files, lease, ledger, lock, paths, processes, spec
from .config import Config
from .errors import Later, Refused
from .spec import Account

SESSIONS = 4
"""How many may read at once."""
LOOK_EVERY = 1.0
OVER = "this account is closed: nothing more can be fetched\n账户已关闭:文件已不能取回。"


def allow(config: Config, account: str, principal: str, until: float, now: float) -> None:
    """Let this principal fetch until `until`, instead of whoever might before. Refused but in an end's own fence."""
    with lock.lease(config, account):
        known = lease.read(config, account)
        if known is None or known.logins != "open":
            raise Refused(f"{account}: there is nothing here that its holder could fetch")
        if known.fenced is None:
            raise Refused(f"{account}: is in use: files are fetched through its own logins")
        if known.fenced.by != "end":
            raise Refused(f"{account}: was fenced by an operator, who alone gives its files out")
        if until <= now:
            raise Refused(f"{account}: its grace is over")
        if not paths.principals(config, account).exists() or not paths.home(config, account).exists():
            raise Refused(f"{account}: is being taken back")
        wanted = lease.Rescue(until, principal)
        lease.rewrite(config, account, known, rescue=wanted)
        access.shut(config, account, wanted)
        files.settle(config.principals)


def going_on(config: Config, account: str) -> lease.Rescue | None:
    """The rescue that is open now, or None; also when nobody can read the lease."""
    known = lease.readable(config, account)
    return known.rescue if known is not None and known.fetchable(time.time()) else None


def spared(config: Config, accounts: Sequence[str]) -> list[str]:
    """The cgroups in which something may go on under a fence: an operator's export, and a rescue that is open."""
    found = []
    for account in accounts:
        rescue, export = reading(config, account)
        found += [rescue, export] if going_on(config, account) else [export]
    return found


def shut(config: Config, account: str, known: lease.Lease) -> lease.Lease:
    """Nobody may fetch any more; what runs goes on until it is killed. Only under the lease's lock."""
    if known.rescue is None:
        return known
    access.shut(config, account)
    return lease.rewrite(config, account, known, rescue=None)


def close(config: Config, account: str, *, exports: bool = True) -> None:
    """End the rescue and whatever reads; a usable account is left alone. `exports`: an operator's as well."""
    kept = [] if exports else reading(config, account)[1:]
    with lock.lease(config, account):
        known = lease.readable(config, account)
        if known is not None and known.fenced is None:
            return
        if known is not None and known.rescue is None and not cgroups.within(reading(config, account)):
            return
        if known is not None:
            shut(config, account, known)
    processes.kill(config, {account: ledger.entries(config).get(account)}, kept)


def forget(config: Config, account: str) -> None:
    """Take away what killed readers left; once nobody can come any more."""
    for name in places(account):
        files.remove(paths.lock(config, name), sync=False)


def reading(config: Config, account: str) -> list[str]:
    """The cgroups of those who read the files of an account that has ended."""
    below = cgroups.path(config, account)
    return [f"{below}/{cgroups.RESCUE}", f"{below}/{cgroups.EXPORT}"]


def places(account: str) -> list[str]:
    """Names of the locks of those who read; a killed one leaves its own behind."""
    return [*(f"{account}.rescue.{number}" for number in range(SESSIONS)), f"{account}.export"]


@contextlib.contextmanager
def place(config: Config, account: str) -> Iterator[None]:
    """One of the few places for sessions; Refused when all are taken."""
    for name in places(account)[:SESSIONS]:
        with contextlib.ExitStack() as held:
            try:
                held.enter_context(lock.held(config, name, 0.0))
            except Later:
                continue
            yield
            return
    raise Refused(f"{SESSIONS} sessions are open already: close one\n已有 {SESSIONS} 个会话,请先关闭一个。")


def enter(config: Config, account: Account) -> None:
    """Bring this login, sshd's own process of it included, under the account's limits and out of the fence's reach."""
    cgroups.enter(config, account.id, cgroups.RESCUE)
    pid, seen = os.getppid(), False
    for _ in range(4):
        with contextlib.suppress(OSError):
            if account.uid in processes.uids_of(pid):
                cgroups.enter(config, account.id, cgroups.RESCUE, pid)
                seen = True
            elif seen:
                return
            pid = processes.parent(pid)


def admit(config: Config, account: str) -> float:
    """Until when its files may be fetched; Refused when not now."""
    known = going_on(config, account)
    if known is None or spec.read(config, account) is None:
        raise Refused(OVER)
    if not boot.ready(config, account):
        raise Refused("this site has just restarted, try again shortly\n站点刚刚重启,请稍后再试。")
    return known.until


def attend(config: Config, account: str, process: "subprocess.Popen[bytes]") -> None:
    """Until `process` ends; it is killed when the rescue is over or nobody reads its output any more."""
    ended = os.pidfd_open(process.pid)
    poll = select.poll()
    poll.register(ended, select.POLLIN)
    poll.register(1, 0)
    try:
        while process.poll() is None:
            open_now = going_on(config, account)
            left = 0.0 if open_now is None else min(LOOK_EVERY, open_now.until - time.time())
            if left <= 0 or 1 in dict(poll.poll(left * 1000)):
                process.kill()
                process.wait()
    finally:
        os.close(ended)
