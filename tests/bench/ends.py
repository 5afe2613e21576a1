"""400 accounts ending at the same instant, one of them poisoned, one of four sites dead; and the sweep's tick among
100,000 live accounts. The sites' own reapers are off, so every fence is Tenure's. The floor is the same work by hand:
one fence call for each site, and one durable transaction.

    python -m tests.bench.ends
"""

import resource
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from sqlalchemy import select

from orchestrator.app import App, utc_now
from orchestrator.flows.context import Context
from orchestrator.flows.work.sweep import Sweep
from orchestrator.lifecycle.account import Account, State
from orchestrator.store import accounts, holders, senders, sites, tables
from orchestrator.store.accounts import Filter
from providers.memory.site import MemorySite
from providers.memory.world import Tenancy, keeper
from providers.protocol import Fenced
from tests.flows.town import HOLDER, OFFER, FakeStacks
from tests.store.making import number

SITES = ("north", "east", "south", "dead")
ENDING, LIVE = 400, 100_000
HANG = 10.0
SOON = timedelta(seconds=3)


@dataclass
class Seen:
    """When each account was fenced at its site and written down, in seconds after its end."""

    called: dict[str, float]
    fenced: dict[str, float]
    recorded: dict[str, float]


class Watched:
    """A site that notes when fences are asked for."""

    def __init__(self, site: MemorySite, seen: dict[str, float], end: datetime) -> None:
        self._site, self._seen, self._end = site, seen, end

    def __getattr__(self, name: str) -> Any:
        return getattr(self._site, name)

    def fence(self, batch: Sequence[tuple[str, int]], by: Literal["end", "operator"]) -> list[Fenced]:
        began = (datetime.now(UTC) - self._end).total_seconds()
        for account, _ in batch:
            self._seen.setdefault(account, began)
        return self._site.fence(batch, by)


def account(nth: int, site: str, end: datetime) -> Account:
    """One in its lease."""
    start = end - timedelta(hours=1)
    return Account(number(nth), f"event-{nth}", site, replace(OFFER, warn_before=()), State.ACTIVE, start, 1, start,
                   starts_at=start, ends_at=end)


def prepare(ctx: Context, end: datetime) -> list[str]:
    """400 accounts at four sites, all with this end; the first is poisoned, one site is dead."""
    made = [account(nth, SITES[nth % len(SITES)], end) for nth in range(ENDING)]
    with ctx.store.write() as tx:
        sender, _ = senders.add(tx, "platform", "codes", None, end)
        holder = holders.put(tx, sender.id, HOLDER)
        for name in SITES:
            sites.put(tx, sites.SiteRow(name, "memory", "edge"))
        for one in made:
            accounts.add(tx, one, sender=sender.id, holder=holder)
    for name in SITES:
        with keeper(name).held() as world:
            world.faults.no_reaper = True
            world.tenancies = {one.id: Tenancy(end.timestamp(), 1, open=True) for one in made if one.site == name}
    with keeper(SITES[0]).held() as world:
        world.faults.poisoned = [made[0].id]
    with keeper("dead").held() as world:
        world.faults.dead, world.faults.hang = True, HANG
    return [one.id for one in made if one.site != "dead"][1:]


def ends(home: Path) -> Seen:
    """Let them end, and watch until all healthy ones are written down."""
    with App.open(home, FakeStacks(), make=True) as app:
        end = utc_now() + SOON
        healthy = prepare(app.ctx, end)
        called: dict[str, float] = {}
        connect = app.ctx.sites._connect
        app.ctx.sites._connect = lambda name: Watched(connect(name), called, end)  # type: ignore[arg-type]
        stop = threading.Event()
        with Sweep(app.ctx) as sweep:
            worker = threading.Thread(target=sweep.run, args=(stop,), daemon=True)
            worker.start()
            recorded = watch(app.ctx, set(healthy), end)
            stop.set()
            worker.join()
            fenced = {}
            for name in SITES[:-1]:
                for id, tenancy in keeper(name).peek(lambda world: dict(world.tenancies)).items():
                    if tenancy.fenced_at is not None:
                        fenced[id] = tenancy.fenced_at - end.timestamp()
            for name in SITES:
                keeper(name).peek(lambda world: setattr(world.faults, "hang", 0.0))
            sweep.idle(HANG + 5)
    return Seen(called, fenced, recorded)


def watch(ctx: Context, wanted: set[str], end: datetime) -> dict[str, float]:
    """When each was first seen FENCED in the database."""
    found: dict[str, float] = {}
    pause = threading.Event()
    while wanted - found.keys() and utc_now() < end + timedelta(seconds=60):
        with ctx.store.read() as tx:
            rows = tx.execute(select(tables.accounts.c.id).where(tables.accounts.c.state == State.FENCED.value))
            at = (utc_now() - end).total_seconds()
            for id in rows.scalars():
                found.setdefault(id, at)
        pause.wait(0.005)
    return found


def floor(home: Path) -> float:
    """Seconds for the same by hand: a call for each living site, one transaction for the rows."""
    with App.open(home, FakeStacks()) as app:
        with app.ctx.store.read() as tx:
            records = [one for one in accounts.select(tx, Filter(), ENDING) if one.site != "dead"]
        began = time.perf_counter()
        for name in SITES[:-1]:
            app.ctx.sites.get(name).fence([(one.id, 1_000_000) for one in records if one.site == name], "end")
        with app.ctx.store.write() as tx:
            tx.connection().execute(tables.journal.insert(), [
                {"id": f"floor-{one.id}", "at": utc_now(), "action": "floor", "subject": one.id, "actor": "bench",
                 "why": "", "facts": "{}"} for one in records])
        return time.perf_counter() - began


def ticks(home: Path) -> list[float]:
    """Seconds of one tick with nothing due, among 100,000 live accounts."""
    with App.open(home, FakeStacks(), make=True) as app:
        end = utc_now() + timedelta(hours=10)
        with app.ctx.store.write() as tx:
            sender, _ = senders.add(tx, "platform", "codes", None, end)
            holder = holders.put(tx, sender.id, HOLDER)
            for nth in range(10):
                sites.put(tx, sites.SiteRow(f"s{nth}", "memory", "edge"))
            accounts.add(tx, account(0, "s0", end), sender=sender.id, holder=holder)
        with app.ctx.store.write() as tx:
            row = dict(tx.execute(select(tables.accounts)).one()._mapping)
            tx.connection().execute(tables.accounts.insert(), [
                {**row, "id": number(nth), "site": f"s{nth % 10}", "due_at": end + timedelta(milliseconds=nth)}
                for nth in range(1, LIVE)])
        took = []
        with Sweep(app.ctx) as sweep:
            for _ in range(2000):
                began = time.perf_counter()
                sweep.tick(utc_now())
                took.append(time.perf_counter() - began)
    return took


def spread(name: str, seconds: Sequence[float], scale: float = 1.0, unit: str = "s") -> str:
    """For people: the distribution in one line."""
    ordered = sorted(value * scale for value in seconds)
    p90, p99 = (ordered[min(len(ordered) - 1, int(len(ordered) * part))] for part in (0.9, 0.99))
    return (f"{name:<44} p50 {statistics.median(ordered):7.3f}  p90 {p90:7.3f}  p99 {p99:7.3f}"
            f"  worst {ordered[-1]:7.3f} {unit}   n {len(ordered)}")


def main() -> int:
    """Print the figures; exit 1 when a healthy account was not fenced."""
    with tempfile.TemporaryDirectory() as folder:
        seen = ends(Path(folder))
        by_hand = floor(Path(folder))
    expected = ENDING - ENDING // len(SITES) - 1
    healthy = {id: at for id, at in seen.recorded.items() if id in seen.fenced}
    print(spread("end -> our fence call begins", [at for id, at in seen.called.items() if id in healthy]))
    print(spread("end -> fenced at the site", [at for id, at in seen.fenced.items() if id in healthy]))
    print(spread("end -> written down (FENCED)", list(healthy.values())))
    print(f"{'the same by hand (floor)':<44}     {by_hand:7.3f} s in all")
    print(f"fenced {len(healthy)} of {expected} healthy accounts; 1 poisoned, {ENDING // len(SITES)} at a dead site")
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(f"{'memory of this process up to here':<44}     {most:>7} MB")
    with tempfile.TemporaryDirectory() as folder:
        print(spread("tick among 100,000 live accounts", ticks(Path(folder)), 1e3, "ms"))
    return 0 if len(healthy) == expected else 1


if __name__ == "__main__":
    sys.exit(main())
