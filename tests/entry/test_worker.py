"""The worker beside or without the doors: everything that has to run by itself does."""

from datetime import timedelta
from pathlib import Path

from orchestrator.entry.worker import Worker
from orchestrator.store import usage
from tests.drive import until
from tests.flows import town as towns


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
