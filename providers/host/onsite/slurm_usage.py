"""What an account's jobs were given, by clock hour, from Slurm's books: each job's share of its hours by arithmetic."""

import calendar
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from . import buckets, files, names, paths, slurm, spec
from .config import Config

SCALE = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40, "P": 1 << 50}
NEVER = ("", "Unknown", "None")


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
    columns = "start,end,elapsedraw,alloctres,state"
    argv = ["sacct", "--noheader", "--parsable2", "--allocations", "--allusers", "--duplicates", f"--format={columns}"]
    ran = slurm.ask(config, *argv, f"--accounts={names.unix(account)}", "--starttime=2000-01-01")
    return [read(row) for row in ran.out.splitlines() if row]


def read(row: str) -> Run:
    """One row of sacct."""
    begun, over, took, given, state = row.split("|")
    closed = state.split()[0] in slurm.OVER or state.split()[0] == "REQUEUED"
    return Run(instant(begun) or 0, instant(over), int(took or 0) * 1000, given, closed)


def instant(text: str) -> int | None:
    return None if text in NEVER else calendar.timegm(time.strptime(text, "%Y-%m-%dT%H:%M:%S")) * 1000


def sizes(given: str, chips: dict[str, str]) -> dict[str, int]:
    """What a run is given per millisecond, in the buckets' units. `chips` says which GRES each chip is."""
    held = {name: value for name, _, value in (word.partition("=") for word in given.split(",") if word)}
    found = {"cpu": int(held.get("cpu", 0)) * 1000, "memory": size(held.get("mem", "0"))}
    return found | {f"chip:{chip}": int(held.get(f"gres/{gres}", 0)) for chip, gres in chips.items()}


def size(text: str) -> int:
    """Bytes of what Slurm writes as 1.50G."""
    scale = SCALE.get(text[-1:])
    return int(float(text[:-1]) * scale) if scale else int(float(text or 0)) << 20


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


def settle(config: Config, account: str) -> bool:
    """Keep what the books say once every job's end is in them; False before that."""
    found = runs(config, account)
    if not all(run.closed for run in found):
        return False
    # once the association is gone the books may show nothing any more: what was kept stays
    if paths.account(config, account).exists() and (found or not meter(config, account).exists()):
        files.folder(meter(config, account).parent)
        now = time.time_ns() // 1_000_000
        files.write_json(meter(config, account), {"hours": by_hour(found, slurm.of(config).chips, now)})
    return True


def meter(config: Config, account: str) -> Path:
    """Where the closed meter lies until the account is cleaned away."""
    return config.state / "slurm" / f"{names.check(account)}.json"


def forget(config: Config, account: str) -> None:
    files.remove(meter(config, account))
