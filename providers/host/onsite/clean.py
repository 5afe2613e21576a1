"""Remove what `leftovers` lists, the lease last: until then the site goes on refusing and fencing."""

import contextlib
import os
import shutil
import time
from pathlib import Path
from typing import Any

from . import (
    access,
    fence,
    files,
    keyrings,
    lease,
    ledger,
    leftovers,
    lock,
    meters,
    names,
    nft,
    rescue,
    slurm_usage,
    storage,
)
from .config import Config
from .errors import Refused, SiteFault
from .run import run

PATIENCE = 20.0
"""Seconds to wait for all of a batch together: whoever is at work on one account does not hold up the rest."""


def batch(config: Config, wanted: list[tuple[str, int]], now: float) -> list[dict[str, Any]]:
    """Clean these accounts (id, generation); one answer for each. What a cluster has of them goes in one go; one
    account's fault spoils no other's."""
    answers: dict[str, dict[str, Any]] = {}
    with contextlib.ExitStack() as held:
        mine = take(config, held, dict(wanted), now, answers)
        problems = fence.kill(config, list(mine))
        problems |= withdraw(config, [account for account in mine if account not in problems])
        for account, generation in mine.items():
            try:
                if account in problems:
                    raise problems[account]
                clean(config, account, generation)
                answers[account] = {"account": account, "clean": True}
            except (SiteFault, OSError) as error:
                answers[account] = fence.failed(account, error)
    return [answers[account] for account, _ in wanted]


def take(
    config: Config, held: contextlib.ExitStack, wanted: dict[str, int], now: float, answers: dict[str, dict[str, Any]]
) -> dict[str, int]:
    """Those that are now ours alone and shut; why the others are not is added to `answers`."""
    until = time.monotonic() + PATIENCE
    mine = {}
    for account, generation in sorted(wanted.items()):
        try:
            held.enter_context(lock.account(config, account, patience=max(0.0, until - time.monotonic())))
            shut(config, account, generation, now)
            mine[account] = generation
        except (SiteFault, OSError) as error:
            answers[account] = fence.failed(account, error)
    return mine


def withdraw(config: Config, accounts: list[str]) -> dict[str, Exception]:
    """Take them out of the cluster that the host belongs to, if any; what went wrong, by account."""
    if config.slurm is None or not accounts:
        return {}
    from . import slurm_withdraw

    return slurm_withdraw.withdraw(config, accounts)


def clean(config: Config, account_id: str, generation: int) -> None:
    """What this host has of one that is shut and in no cluster any more. Each step may find its work done already."""
    uid = leftovers.uid_of(config, account_id)
    parts(config, account_id)
    if uid is not None:
        of_uid(config, account_id, uid)
    for path in leftovers.account_paths(config, account_id, uid):
        take_away(Path(path))
    if uid is not None:
        keyrings.wait(uid)
    rescue.forget(config, account_id)
    meters.forget(config, account_id)
    if config.slurm is not None:
        slurm_usage.forget(config, account_id)
    ledger.release(config, account_id)
    with lease.changing(config, account_id, generation):
        # a fence that came in between has left its drop; none can come after this
        nft.forget(config, account_id)
        lease.bury(config, account_id, generation)


def shut(config: Config, account_id: str, generation: int, now: float) -> None:
    """An account in use must have been fenced by somebody; one whose logins never opened is fenced here."""
    with lease.changing(config, account_id, generation) as known:
        if known is not None and known.logins == "open" and known.fenced is None and known.end > now:
            raise Refused(f"{account_id}: is in use: fence it first")
        if known is not None and known.fenced is None:
            lease.mark(config, account_id, generation, "operator" if known.end > now else "end", now)
        elif known is not None:
            rescue.shut(config, account_id, known)
        access.shut(config, account_id)


def parts(config: Config, account_id: str) -> None:
    """All five, in reverse; containers before the storage that they lie in."""
    from . import parts

    for name in reversed(parts.NAMES):
        parts.on_host(config, name).remove(config, account_id)


def of_uid(config: Config, account_id: str, uid: int) -> None:
    """What can lie outside the account's own folders."""
    fence.drop_jobs(account_id, uid)
    for path in list(leftovers.owned_files(config, account_id, uid)):
        take_away(Path(path))
    for entry in leftovers.ipc(config, account_id, uid):
        kind, number = entry.split()
        run(["ipcrm", {"shm": "-m", "sem": "-s", "msg": "-q"}[kind], number], check=False)
    keyrings.end(uid)
    for name in (names.unix(account_id), str(uid)):
        for path in ("/etc/subuid", "/etc/subgid"):
            drop_rows(Path(path), name)
    storage.drop_groups(config, list(leftovers.quota_groups(config, account_id, uid)))


def drop_rows(path: Path, name: str) -> None:
    """useradd may have written subordinate ids where the host's settings say so; userdel forgets those of a uid."""
    with contextlib.suppress(FileNotFoundError):
        rows = path.read_text().splitlines(keepends=True)
        kept = [row for row in rows if row.split(":")[0] != name]
        if kept != rows:
            files.write(path, "".join(kept), mode=path.stat().st_mode & 0o7777)


def take_away(path: Path) -> None:
    """A file, a link or a whole folder; links inside are never followed. Already gone is success."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=False)
    else:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
