"""What the store costs: the sweep's question among 100,000 live accounts, and accepting 100 redemptions a second.

Run: python -m tests.store.measure [folder on the disk to measure]
"""

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

from sqlalchemy import select

from orchestrator.lifecycle.due import Owed
from orchestrator.store import accounts, capacity, holders, journal, redemptions, sites, tables, vouchers
from orchestrator.store.engine import Store
from orchestrator.store.redemptions import Redemption
from orchestrator.store.seal import Keyring
from tests.store.making import ALL, HOLDER, HOUR, LEASE, NOW, OFFER, World, active, furnish, new, number

LIVE = 100_000
PER_SECOND, SECONDS = 100, 20


def say(text: str) -> None:
    sys.stdout.write(text + "\n")


def spread(name: str, took: list[float]) -> None:
    ordered = sorted(took)
    p99 = ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]
    say(f"{name:58} p50 {statistics.median(ordered) * 1e3:8.3f} ms   p99 {p99 * 1e3:8.3f} ms   n {len(ordered)}")


def timed(times: int, call: Callable[[], object]) -> list[float]:
    took = []
    for _ in range(times):
        begun = time.perf_counter()
        call()
        took.append(time.perf_counter() - begun)
    return took


def populate(world: World) -> None:
    """100,000 accounts in their leases, at ten sites, none due for an hour."""
    with world.store.write() as tx:
        for nth in range(10):
            sites.put(tx, sites.SiteRow(f"s{nth}", "memory", "city"))
    world.add(active(0, ends_at=NOW + HOUR, warned=1))
    with world.store.write() as tx:
        row = dict(tx.execute(select(tables.accounts)).one()._mapping)
        later = [{**row, "id": number(nth), "site": f"s{nth % 10}", "due_at": NOW + HOUR + timedelta(seconds=nth)}
                 for nth in range(1, LIVE)]
        tx.connection().execute(tables.accounts.insert(), later)


def sweep(world: World) -> None:
    direct = frozenset({Owed.FENCE})

    def ask() -> None:
        with world.store.read() as tx:
            accounts.next_wake(tx, ALL)

    def claim_nothing() -> None:
        with world.store.write() as tx:
            accounts.claim_due(tx, NOW, "w", direct, 1000, LEASE, 250)

    def claim_batch() -> None:
        with world.store.write() as tx:
            assert len(accounts.claim_due(tx, NOW + 2 * HOUR, "w", direct, 250, LEASE, 250)) == 250

    spread("tick, nothing due (one read)", timed(2000, ask))
    spread("claim, nothing due (one write transaction)", timed(2000, claim_nothing))
    spread("claim of 250 among 3,600 due, durable", timed(10, claim_batch))


def accept(store: Store, sender: str, nth: int) -> None:
    """The transaction of one redemption."""
    with store.write() as tx:
        digest = vouchers.digest(store.keyring, sender, f"CODE-{nth}")
        redemptions.find(tx, sender, f"event-{nth}")
        redemptions.remember(tx, Redemption(f"event-{nth}", sender, "hash", digest, number(LIVE + nth), NOW))
        vouchers.redeem(tx, digest, NOW)
        assert capacity.hold(tx, number(LIVE + nth), "nanjing", OFFER.name, NOW, NOW + OFFER.duration)
        accounts.add(tx, new(LIVE + nth), sender=sender, holder=holders.put(tx, sender, HOLDER))
        journal.write(tx, "account.requested", number(LIVE + nth), f"sender:{sender}", site="nanjing")


def accepts(world: World, sealing: Callable[[], object] | None) -> list[float]:
    """Open loop: each is counted from when it was to begin, whatever the one before took."""
    count, begun = PER_SECOND * SECONDS, time.perf_counter() + 0.1
    offset = 0 if sealing is None else count

    def one(nth: int) -> float:
        due = begun + nth / PER_SECOND
        time.sleep(max(0.0, due - time.perf_counter()))
        if sealing is not None and nth % PER_SECOND == 0:
            sealing()
        accept(world.store, world.sender, offset + nth)
        return time.perf_counter() - due

    with ThreadPoolExecutor(16) as pool:
        return list(pool.map(one, range(count)))


def floor(folder: Path) -> list[float]:
    """What the disk takes to keep 4 KiB."""
    with (folder / "floor").open("wb", buffering=0) as file:
        def keep() -> None:
            file.write(b"x" * 4096)
            os.fdatasync(file.fileno())

        return timed(500, keep)


def main(at: str | None = None) -> None:
    with tempfile.TemporaryDirectory(dir=at) as name:
        folder = Path(name)
        store = Store(f"sqlite:///{folder}/tenure.db", Keyring.new())
        store.migrate()
        world = furnish(store, places=10 * PER_SECOND * SECONDS)
        populate(world)
        sweep(world)
        with store.write() as tx:
            codes = [f"CODE-{nth}" for nth in range(2 * PER_SECOND * SECONDS)]
            vouchers.import_(tx, world.sender, OFFER.name, codes, NOW - HOUR, NOW + HOUR)
        spread("raw floor: write 4 KiB and fdatasync", floor(folder))
        spread(f"accept at {PER_SECOND}/s, durable", accepts(world, None))
        seal = lambda: journal.seal(store, folder / "checkpoint")  # noqa: E731
        spread(f"accept at {PER_SECOND}/s, durable, journal sealed every second", accepts(world, seal))
        spread("raw floor again", floor(folder))
        store.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
