"""What each account uses, by clock hour, looked at every few seconds by the reaper and kept on disk.

Counters go on from look to look, so what they count while nobody looks is in the next hour that is measured; sizes
count for the time between two looks. All that is known at a look is one file, replaced at once: whoever is killed
between two looks has counted nothing twice. Closed hours lie in a file for each account, which goes with it.
"""

import contextlib
import json
import os
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from . import boot, buckets, cgroups, files, lease, ledger, lock, names, outages, paths, spec
from .buckets import Bucket, Reading, Row
from .config import Config
from .errors import SiteFault

T = TypeVar("T")
PATIENCE = 10.0
FRESH = 1000
"""Milliseconds for which a look is good enough for whoever asks."""


@dataclass
class Book:
    """All that a look leaves behind for the next one: when it was, by this boot's clock which nobody sets (`steady`)
    and by the host's own (`now`), and the heart-beat."""

    boot: str = ""
    steady: int = 0
    beat: int = 0
    now: int = 0
    rows: dict[str, Row] = field(default_factory=dict)


def load(config: Config) -> Book | None:
    """The book; None when there is none yet. One that cannot be read counts as none: the next look begins anew."""
    try:
        raw: dict[str, Any] | None = files.read_json(paths.meters(config))
        if raw is None:
            return None
        return Book(raw["boot"], raw["steady"], raw["beat"], raw.get("now", raw["beat"]),
                    {id: parse(row) for id, row in raw["rows"].items()})
    except (ValueError, TypeError, KeyError):
        return None


def parse(raw: list[Any]) -> Row:
    since, cgroup, cpu, egress, hour, covered, amounts = raw
    return Row(since, cgroup, cpu, egress, hour, Bucket(covered, amounts))


def keep(config: Config, book: Book) -> None:
    rows = {
        id: [one.since, one.cgroup, one.cpu, one.egress, one.hour, one.bucket.covered, one.bucket.amounts]
        for id, one in book.rows.items()
    }
    raw = {"boot": book.boot, "steady": book.steady, "beat": book.beat, "now": book.now, "rows": rows}
    files.write(paths.meters(config), json.dumps(raw))


def look(config: Config) -> None:
    """One look at every account whose logins were ever opened."""
    with lock.held(config, "meters", PATIENCE):
        known = load(config)
        book, boot = known or Book(), booted(config)
        steady, now = time.monotonic_ns() // 1_000_000, time.time_ns() // 1_000_000
        covered = buckets.elapsed(book.steady, steady) if book.boot == boot else 0
        if book.boot != boot:
            outages.note(config, book.beat, now)
            for one in book.rows.values():
                one.cgroup = buckets.NOTHING_RUNS
        else:
            outages.put_right(config, now, (now - book.now) - (steady - book.steady))
        closed = []
        for account, seen in readings(config, book).items():
            row = book.rows.get(account) or begin(config, account, seen if known is None else None)
            if row is not None:
                closed += [(account, *over) for over in row.look(seen, now, covered, past(config, account)).items()]
                book.rows[account] = row
        for account, hour, bucket in closed:
            close(config, account, hour, bucket)
        book.beat = outages.beaten(book.beat, book.now, book.boot == boot, now)
        book.boot, book.steady, book.now = boot, steady, now
        files.tidy(config.state)
        keep(config, book)


def begin(config: Config, account: str, seen: Reading | None) -> Row | None:
    """The meters of an account from its opening on; None before that. With `seen`, from what its counters show now on:
    how much of it has been told already is not known any more."""
    try:
        held = lease.read(config, account)
    except SiteFault:
        return None
    if held is None or held.starts_at is None:
        return None
    since = int(held.starts_at * 1000)
    return Row(since) if seen is None else Row(since, seen.cgroup, seen.cpu or 0, max(0, seen.egress or 0))


def readings(config: Config, book: Book) -> dict[str, Reading]:
    """What each account here uses at this moment. One listing that fails leaves its own meter out."""
    from . import nft, storage

    uids = ledger.entries(config)
    sent = attempt(lambda: nft.passed(config))
    groups = attempt(lambda: storage.groups(config))
    found = {}
    for account in spec.listed(config):
        group = groups.get(storage.group(uids.get(account, -1))) if groups is not None else None
        held = None if groups is None else group.used if group else 0
        passed = None if sent is None else sent.get(account, buckets.NOT_THERE)
        found[account] = Reading(*running(config, account), held, passed)
    return found


def running(config: Config, account: str) -> tuple[int, int | None, int | None]:
    """Which cgroup there is, its CPU and its memory."""
    try:
        seen = cgroups.tree().counted(cgroups.path(config, account))
    except (OSError, ValueError):
        return buckets.NOTHING_RUNS, None, None
    return (seen.folder, seen.cpu, seen.memory) if seen else (buckets.NOTHING_RUNS, 0, 0)


def attempt(ask: Callable[[], T]) -> T | None:
    """The answer, or None where it cannot be had."""
    try:
        return ask()
    except (SiteFault, OSError, ValueError):
        return None


def booted(config: Config) -> str:
    """What is another text after each boot of this host."""
    path, id = paths.boot(config), boot.boot_id()
    with contextlib.suppress(FileNotFoundError):
        text = path.read_text()
        if text.startswith(id):
            return text
    text = f"{id} {uuid.uuid4()}"
    files.write(path, text, sync=False)
    return text


def past(config: Config, account: str) -> Callable[[int], Bucket]:
    """Buckets that were closed before; a new one for an hour that has none."""
    return lambda hour: history(config, account).get(hour) or Bucket()


def history(config: Config, account: str) -> dict[int, Bucket]:
    """The account's closed hours. A line that a power cut has torn is none."""
    found = {}
    with contextlib.suppress(FileNotFoundError):
        for line in paths.hours(config, account).read_text().splitlines():
            with contextlib.suppress(ValueError, TypeError):
                hour, covered, amounts = json.loads(line)
                found[int(hour)] = Bucket(covered, amounts)
    return found


def close(config: Config, account: str, hour: int, bucket: Bucket) -> None:
    """Write an hour down that is over. The line's own first break parts it from a torn one before."""
    line = f"\n{json.dumps([hour, bucket.covered, bucket.amounts])}\n"
    handle = os.open(paths.hours(config, account), os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        os.write(handle, line.encode())
        os.fsync(handle)
    finally:
        os.close(handle)


def usage(config: Config, account: str, since: float) -> list[dict[str, object]]:
    """The account's intervals from the hour that holds `since` up to now; none of one that is not metered."""
    row = fresh(config, account)
    if row is None:
        return []
    now = time.time_ns() // 1_000_000
    known = {**history(config, account), row.hour: row.bucket}
    more: dict[int, dict[str, int]] = {}
    if config.slurm is not None:
        from . import slurm_usage

        more = slurm_usage.hours(config, account, row.since, now)
    begun = max(int(since * 1000) // buckets.HOUR * buckets.HOUR, row.since)
    return [
        buckets.told(start, end, known.get(start // buckets.HOUR, Bucket()), more.get(start // buckets.HOUR, {}))
        for start, end in buckets.hours(begun, now)
    ]


def fresh(config: Config, account: str) -> Row | None:
    """The account's row after a look that was a moment ago at most."""
    book, steady = load(config), time.monotonic_ns() // 1_000_000
    if book is None or account not in book.rows or not 0 <= steady - book.steady <= FRESH:
        look(config)
        book = load(config)
    return book.rows.get(account) if book else None


def stored(config: Config, account: str) -> int | None:
    """Bytes in the account's storage now."""
    from . import storage

    uid = ledger.entries(config).get(account)
    return None if uid is None else storage.used(config, uid)


def sent(config: Config, account: str) -> int:
    """Bytes that the account had sent at the last look, from which its counter goes on after a reboot."""
    book = load(config)
    return book.rows[account].egress if book and account in book.rows else 0


def traces(config: Config, account: str) -> list[str]:
    """What of the account is kept here."""
    book, hours = load(config), paths.hours(config, account)
    rows = [f"{paths.meters(config)} {account}"] if book and account in book.rows else []
    return rows + ([str(hours)] if hours.exists() else [])


def accounts(config: Config) -> set[str]:
    """Ids of all accounts that have meters here."""
    book = load(config)
    stems = {name.removesuffix(".jsonl") for name in os.listdir(config.state / "usage")}
    return {stem for stem in stems if names.ID.fullmatch(stem)} | set(book.rows if book else ())


def forget(config: Config, account: str) -> None:
    """The account is cleaned away: so are its meters. Its spec went before, so no look brings them back."""
    with lock.held(config, "meters", PATIENCE):
        book = load(config)
        if book is not None and book.rows.pop(account, None) is not None:
            keep(config, book)
        files.remove(paths.hours(config, account))
