"""What an account's jobs were given, by clock hour, from Slurm's books: each job's share of its hours by arithmetic."""

import calendar
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from . import buckets, files, lease, names, paths, slurm, spec
from .config import Config
from .errors import Later, SiteFault

NEVER = ("", "Unknown", "None")
PATIENCE = 30.0
"""Seconds for a look into the books of a cluster that has run for years."""
DAY = 86400.0
EARLIEST = float(calendar.timegm((2000, 1, 2, 0, 0, 0)))
"""Before all jobs, for accounts whose lease does not say since when they have some."""
FORM = "%Y-%m-%dT%H:%M:%S"


@dataclass(frozen=True)
class Run:
    """One run of a job; a job that was requeued has several. Times are milliseconds; `over` None while it runs."""

    begun: int
    over: int | None
    took: int
    given: str
    closed: bool


def runs(config: Config, account: str) -> list[Run]:
    """All runs of the account's jobs that ever began, and those that have not."""
    return [read(row) for row in rows(config, [account])[account]]


def rows(config: Config, accounts: Sequence[str]) -> dict[str, list[str]]:
    """What the books have of each of these, to be read by `read`. They reach back for years; from a day before the
    first one's logins opened is enough."""
    columns = "account,start,end,elapsedraw,alloctres,state"
    argv = ["sacct", "--noheader", "--parsable2", "--allocations", "--allusers", "--duplicates", f"--format={columns}"]
    since = time.strftime(FORM, time.gmtime(min(opened(config, account) for account in accounts) - DAY))
    users = {names.unix(account): account for account in accounts}
    ran = slurm.ask(config, *argv, f"--accounts={','.join(users)}", f"--starttime={since}", timeout=PATIENCE)
    found: dict[str, list[str]] = {account: [] for account in accounts}
    for line in filter(None, ran.out.splitlines()):
        user, _, row = line.partition("|")
        if user not in users:
            raise Later(f"sacct: reads as {line!r}"[:300])
        found[users[user]].append(row)
    return found


def opened(config: Config, account: str) -> float:
    """Epoch seconds since which there may be jobs; before all of them where the lease does not say."""
    known = lease.readable(config, account)
    return known.starts_at or EARLIEST if known else EARLIEST


def read(row: str) -> Run:
    """One row of sacct. Later when it is none."""
    try:
        begun, over, took, given, state = row.split("|")
        closed = state.split()[0] in slurm.OVER or state.split()[0] == "REQUEUED"
        return Run(instant(begun) or 0, instant(over), int(took or 0) * 1000, given, closed)
    except (ValueError, IndexError) as error:
        raise Later(f"sacct: reads as {row!r}"[:300]) from error


def instant(text: str) -> int | None:
    return None if text in NEVER else calendar.timegm(time.strptime(text, FORM)) * 1000


def sizes(given: str, chips: dict[str, str]) -> dict[str, int]:
    """What a run is given per millisecond, in the buckets' units. `chips` says which GRES each chip is."""
    held = {name: value for name, _, value in (word.partition("=") for word in given.split(",") if word)}
    found = {"cpu": count(held, "cpu") * 1000, "memory": slurm.memory(held.get("mem", "0"))}
    return found | {f"chip:{chip}": count(held, f"gres/{gres}") for chip, gres in chips.items()}


def count(held: dict[str, str], name: str) -> int:
    return slurm.number(held.get(name, "")) or 0


def by_hour(found: Iterable[Run], chips: dict[str, str], now: int) -> dict[int, dict[str, int]]:
    """All runs' amounts in the buckets' units. Time for which a job was suspended is not its own, wherever it lay."""
    hours: dict[int, dict[str, int]] = {}
    for run in found:
        if not run.begun:
            continue
        over = max(run.begun, now if run.over is None else run.over)
        # to the millisecond while it runs: what is told of an hour only grows
        took = min(run.took, over - run.begun) if run.over is not None else over - run.begun
        for meter, rate in sizes(run.given, chips).items():
            for hour, share in buckets.spread(rate * took, run.begun, over).items():
                amounts = hours.setdefault(hour, {})
                amounts[meter] = amounts.get(meter, 0) + share
    return hours


def hours(config: Config, account: str, since: int, now: int) -> dict[int, dict[str, int]]:
    """By hour, for every one from `since` to now; of a chip that the account may have and has not used, 0. Later when
    Slurm does not say: what is not known is not told as if it were little."""
    kept = files.read_json(meter(config, account))
    chips = slurm.of(config).chips
    if kept is not None:
        found = {int(hour): amounts for hour, amounts in kept["hours"].items()}
    else:
        found = by_hour(runs(config, account), chips, now)
    known = spec.read(config, account)
    may = {f"chip:{chip}": 0 for chip, count in (known.spec.accelerators if known else ()) if count}
    return {hour: may | found.get(hour, {}) for hour in range(since // buckets.HOUR, now // buckets.HOUR + 1)}


def settle(config: Config, accounts: Sequence[str]) -> dict[str, Exception]:
    """Keep what the books say of each once every job's end is in them; of which it is not kept and why, by account.
    Later when Slurm does not say."""
    problems: dict[str, Exception] = {}
    for account, found in rows(config, accounts).items():
        try:
            keep(config, account, [read(row) for row in found])
        except (SiteFault, OSError) as error:
            problems[account] = error
    return problems


def keep(config: Config, account: str, found: Sequence[Run]) -> None:
    """Close the account's meter: once the association is gone the books may show nothing any more. Later before every
    job's end is in them."""
    if not all(run.closed for run in found):
        raise Later(f"{account}: its jobs' ends are not in Slurm's books yet")
    if paths.account(config, account).exists():
        files.folder(meter(config, account).parent)
        now = time.time_ns() // 1_000_000
        files.write_json(meter(config, account), {"hours": by_hour(found, slurm.of(config).chips, now)})


def meter(config: Config, account: str) -> Path:
    """Where the closed meter lies until the account is cleaned away."""
    return config.state / "slurm" / f"{names.check(account)}.json"


def forget(config: Config, account: str) -> None:
    files.remove(meter(config, account))
