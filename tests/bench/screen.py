"""What one look at the operators' screen costs: 100,000 live accounts at ten sites, 100,000 that were reclaimed before.

The floor is one walk over the same accounts by their index. Run: python -m tests.bench.screen
"""

import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import func, select

from orchestrator.entry.http.operators_page import Visitor, render
from orchestrator.flows.overview.model import look
from orchestrator.lifecycle import times
from orchestrator.store import sites, tables
from orchestrator.store.engine import Store
from orchestrator.store.seal import Keyring
from tests.store.making import HOUR, NOW, OFFER, World, active, furnish, number, seconds
from tests.store.measure import spread, timed

LIVE, SITES = 100_000, 10
DAY = timedelta(days=1)


def populate(world: World) -> None:
    """Ends over two weeks, one account in a hundred stuck, one place in ten booked ahead."""
    names = [f"s{nth}" for nth in range(SITES)]
    with world.store.write() as tx:
        for name in names:
            sites.put(tx, sites.SiteRow(name, "memory", "city"))
            sites.put_places(tx, name, [sites.Places(name, OFFER.name, LIVE)])
    world.add(active(0))
    with world.store.write() as tx:
        row = dict(tx.execute(select(tables.accounts)).one()._mapping)
        tx.connection().execute(tables.accounts.insert(), [live(row, nth) for nth in range(1, LIVE)])
        tx.connection().execute(tables.accounts.insert(), [gone(row, nth) for nth in range(LIVE, 2 * LIVE)])
        tx.connection().execute(tables.holds.insert(), [
            {"account": number(nth), "site": names[nth % SITES], "offer": OFFER.name,
             "start": NOW + 2 * DAY if nth % 10 == 0 else NOW - HOUR, "until": end(nth) + DAY}
            for nth in range(1, LIVE)])


def end(nth: int) -> Any:
    return NOW + seconds(12 * nth) - HOUR


def live(row: dict[str, Any], nth: int) -> dict[str, Any]:
    over = end(nth) < NOW
    stuck = {"what": "warn", "error": "no route to host", "since": NOW.isoformat(), "count": 3, "next": "tenure",
             "remedy": ""}
    return row | {"id": number(nth), "site": f"s{nth % SITES}", "ends_at": end(nth), "due_at": end(nth),
                  "state": "FENCED" if over else "ACTIVE", "fenced_by": "end" if over else None,
                  "fenced_at": end(nth) + seconds(0.02) if over else None, "stuck": stuck if nth % 100 == 0 else None}


def gone(row: dict[str, Any], nth: int) -> dict[str, Any]:
    before = NOW - 30 * DAY - seconds(nth)
    return row | {"id": number(nth), "site": f"s{nth % SITES}", "ends_at": before, "due_at": None, "owed": None,
                  "state": "RECLAIMED", "fenced_by": "end", "fenced_at": before}


def main() -> None:
    """Print the figures."""
    with tempfile.TemporaryDirectory() as folder:
        store = Store(f"sqlite:///{Path(folder)}/tenure.db", Keyring.new())
        store.migrate()
        world, where = furnish(store), times.zone()
        populate(world)

        def seen() -> Any:
            with store.read() as tx:
                return look(tx, NOW, where)

        def walk() -> None:
            with store.read() as tx:
                tx.execute(select(func.count()).where(tables.accounts.c.state != "")).scalar_one()

        found, by = seen(), Visitor("token:bench", "viewer", None)
        assert sum(found.live.values()) == LIVE
        assert found.stuck == LIVE // 100 - 1
        spread("one look at everything, 100,000 live accounts", timed(20, seen))
        spread("the page of it, rendered", timed(20, lambda: render(found, "en", where, by, paused=False)))
        spread("raw floor: count the accounts by an index", timed(20, walk))
        store.close()


if __name__ == "__main__":
    main()
