"""Nobody can use these accounts any more, and nothing is deleted. One batch, whoever calls: Tenure or the reaper.

Order: written down and principals emptied, packets dropped, processes frozen and killed, stragglers by uid, cron and
at. The cut never waits for an account's long work: whoever starts something reads the lease again afterwards.
"""

import contextlib
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from . import access, lease, ledger, lock, names, nft, paths, processes, rescue
from .config import Config
from .errors import Refused, SiteFault

CRONTABS = Path("/var/spool/cron/crontabs")
AT_JOBS = (Path("/var/spool/cron/atjobs"), Path("/var/spool/cron/atspool"))


CHUNK = 256
"""Accounts whose leases are held at once; each takes a file descriptor."""
PATIENCE = 3.0
"""Seconds to wait for leases, all of a batch together. They are held for milliseconds: whoever holds one longer is
frozen, and keeps neither this account alive nor any other."""


def batch(
    config: Config, wanted: Sequence[tuple[str, int] | tuple[str, None]], by: lease.By, now: float, *,
    cluster: bool = True,
) -> list[dict[str, Any]]:
    """Fence these accounts (id, generation or None for the site's own doing); one answer for each. One account's
    fault spoils no other's fence. Without `cluster` the caller sees to `close` itself."""
    answers: dict[str, dict[str, Any]] = {}
    latest: dict[str, int | None] = {}
    for account, generation in wanted:
        latest[account] = max(generation or 0, latest.get(account) or 0) or None
    ordered, until = sorted(latest.items()), time.monotonic() + PATIENCE
    for start in range(0, len(ordered), CHUNK):
        marked: dict[str, lease.Fence] = {}
        with contextlib.ExitStack() as held:
            for account, generation in ordered[start : start + CHUNK]:
                answers[account] = mark(config, held, marked, account, generation, by, now, until)
            problems = drop(config, list(marked))
            spare(config, [account for account in marked if "error" in answers[account]], now)
        problems |= kill(config, list(marked), rescue.spared(config, list(marked)))
        problems |= close(config, list(marked)) if cluster else {}
        lease.settle(config, list(marked))
        answers.update({account: failed(account, problem) for account, problem in problems.items()})
    return [answers[account] for account, _ in wanted]


def mark(
    config: Config,
    held: contextlib.ExitStack,
    marked: dict[str, lease.Fence],
    account: str,
    generation: int | None,
    by: lease.By,
    now: float,
    until: float,
) -> dict[str, Any]:
    """Write one fence down and shut its logins; adds it to `marked` when there is something to cut. Its lease stays
    held until the drop stands, so that neither a lift nor a clean can come in between."""
    try:
        held.enter_context(lock.lease(config, account, patience=max(0.0, until - time.monotonic())))
    except (SiteFault, OSError) as busy:
        if over(config, account, now):
            # what is over is cut without its lease, and the fence is not acknowledged
            marked[account] = lease.Fence(now, by)
            if rescue.going_on(config, account) is None:
                access.empty(config, account)
        return failed(account, busy)
    try:
        fence = lease.mark(config, account, generation, by, now)
        if fence is None:
            raise Refused(f"{account}: its end is not due")
        if paths.lease(config, account).exists():
            marked[account] = fence
            access.shut(config, account, rescue.going_on(config, account))
        return {"account": account, "at": fence.at}
    except SiteFault as error:
        return failed(account, error)
    except OSError as error:
        # a full disk must not keep an account alive: it is cut all the same, and the fence is not acknowledged
        marked[account] = lease.Fence(now, by)
        access.empty(config, account)
        return failed(account, error)


def over(config: Config, account: str, now: float) -> bool:
    """Whether its end has passed, by a lease that somebody else may hold."""
    known = lease.readable(config, account)
    return known is not None and known.end <= now


def spare(config: Config, unheld: list[str], now: float) -> None:
    """Whoever held its lease may have moved its end meanwhile: such a one's packets pass again."""
    for account in unheld:
        known = lease.readable(config, account)
        if known is not None and known.fenced is None and known.end > now:
            nft.undrop(config, account)


def lift(config: Config, account: str, end: float, generation: int, now: float) -> lease.Lease:
    """Take the fence away and set the end; the lease as it is when `end` has passed. Logins come with the
    next issue; what still reads the account's files ends first."""
    with lease.changing(config, account, generation) as known:
        if known is None:
            raise Refused(f"{account}: has no lease here")
        if end <= now:
            return known
        if known.fenced:
            known = rescue.shut(config, account, known)
            processes.kill(config, uids_of(config, [account]))
        nft.undrop(config, account)
        return lease.rewrite(config, account, known, end=end, generation=generation, fenced=None)


def cut(config: Config, accounts: list[str]) -> dict[str, Exception]:
    """Drop their packets and kill their processes; what went wrong, by account."""
    return drop(config, accounts) | kill(config, accounts, rescue.spared(config, accounts))


def drop(config: Config, accounts: list[str]) -> dict[str, Exception]:
    """No packets any more; what went wrong, by account."""
    try:
        if accounts:
            nft.drop(config, accounts)
        return {}
    except SiteFault as error:
        return dict.fromkeys(accounts, error)


def kill(config: Config, accounts: list[str], spared: Sequence[str] = ()) -> dict[str, Exception]:
    """No processes any more but those in the cgroups `spared`, and nothing that would start one later; what went wrong,
    by account."""
    problems: dict[str, Exception] = {}
    uids = uids_of(config, accounts)
    try:
        processes.kill(config, uids, spared)
    except (SiteFault, OSError):
        problems.update(one_by_one(config, uids, spared))
    for account, uid in uids.items():
        try:
            drop_jobs(account, uid)
        except OSError as error:
            problems[account] = error
    return problems


def close(config: Config, accounts: list[str]) -> dict[str, Exception]:
    """Fence them in the cluster that the host belongs to, if any, and kill what it has started here meanwhile; what
    went wrong, by account."""
    if config.slurm is None:
        return {}
    from . import slurm_end

    return slurm_end.close(config, accounts) | kill(config, accounts, rescue.spared(config, accounts))


def one_by_one(config: Config, uids: dict[str, int | None], spared: Sequence[str]) -> dict[str, Exception]:
    """The batch did not die as one: find out whose processes are left."""
    problems: dict[str, Exception] = {}
    for account, uid in uids.items():
        try:
            if processes.alive(config, {account: uid}, spared):
                processes.kill(config, {account: uid}, spared)
        except (SiteFault, OSError) as error:
            problems[account] = error
    return problems


def uids_of(config: Config, accounts: list[str]) -> dict[str, int | None]:
    """Each account's uid by the ledger, which outlives user and spec; None when it never had one."""
    given = ledger.entries(config)
    return {account: given.get(account) for account in accounts}


def drop_jobs(account: str, uid: int | None) -> None:
    """What cron and at would start later goes for good."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(CRONTABS / names.unix(account))
    for job in at_jobs(uid):
        with contextlib.suppress(FileNotFoundError):
            job.unlink()


def at_jobs(uid: int | None) -> list[Path]:
    """at's files that are this uid's."""
    found = []
    for folder in AT_JOBS if uid is not None else ():
        with contextlib.suppress(FileNotFoundError):
            found += [Path(entry) for entry in os.scandir(folder) if entry.stat(follow_symlinks=False).st_uid == uid]
    return found


def failed(account: str, error: Exception) -> dict[str, Any]:
    """One account's error, with the word for who acts next."""
    kind = error.kind if isinstance(error, SiteFault) else "later"
    remedy = error.remedy if isinstance(error, SiteFault) else ""
    return {"account": account, "error": {"kind": kind, "message": str(error), "remedy": remedy}}
