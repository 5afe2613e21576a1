"""The worker beside or without the doors: everything that has to run by itself does."""

from datetime import timedelta
from pathlib import Path

from orchestrator.entry.worker import Worker
from orchestrator.store import journal, usage
from tests.drive import until
from tests.flows import town as towns
from tests.flows.vouchers.test_draw import drawn


def test_meters_are_read_without_anybodys_doing(tmp_path: Path) -> None:
    """A worker that is started reads what is due."""
    with towns.town(tmp_path / "home") as town:
        id = town.active()
        town.advance(timedelta(hours=1))

        def read() -> bool | None:
            with town.store.read() as tx:
                return True if usage.read_until(tx, id) == town.clock.at else None

        with Worker(town.ctx):
            until("it is read", read, within=60)


def test_what_nobody_claimed_is_passed_on_without_anybodys_doing(tmp_path: Path) -> None:
    """A worker that is started gives it to who waits."""
    with towns.town(tmp_path / "home") as town:
        drawn(town, 96, entrants=2)
        town.advance(timedelta(days=7))

        def passed() -> bool | None:
            with town.store.read() as tx:
                rows = journal.list_(tx, subject="w10")
            return True if any(row.action == "draw.passed_on" for row in rows) else None

        with Worker(town.ctx):
            until("it is passed on", passed, within=60)
