"""SIGKILL around a later end of hours in kind: the next round moves it, and neither then nor meanwhile is more allowed
than there is."""

import signal
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from orchestrator.lifecycle.programme import Benefit, Programme
from orchestrator.store import journal, ledger, programmes, sites
from orchestrator.store.ledger import Line
from orchestrator.store.programmes import Grant
from orchestrator.store.sites import SiteRow
from providers.memory import meters
from tests.faults.stage import BRIEF, Processes, Stage

CHIP, HOUR, MINUTE = "ascend-910b", 3600.0, 60.0
USED, IDLE, ROUND_LAPSES = 20 * MINUTE, 80 * MINUTE, 31 * MINUTE
WORTH = 10


@pytest.fixture
def stage(tmp_path: Path, processes: Processes) -> Iterator[Stage]:
    """A site with chips."""
    made = Stage(tmp_path / "home", processes, replace(BRIEF, duration=timedelta(hours=WORTH), accelerators={CHIP: 1}))
    with made.ctx.store.write() as tx:
        sites.put(tx, SiteRow("north", "memory", "edge", {"chips": CHIP}, {"file": str(made.file)}))
    yield made
    made.close()


def in_use(stage: Stage, id: str, chips: int) -> None:
    """From now on; what ran until now is metered as it was."""
    with stage.site() as world:
        meters.look(world)
        world.tenancies[id].chips = {CHIP: chips}


def used_in_part(stage: Stage) -> str:
    """Ten chip-hours, of which a third of one was used; then nothing ran for a while."""
    stage.redeem()
    stage.must("ACTIVE")
    id = stage.records()[0].id
    credit = f"credit/{id}/{CHIP}-hours"
    with stage.ctx.store.write() as tx:
        programmes.put(tx, Programme("p", Benefit.IN_KIND, "p", "p", resource=CHIP, use_within=timedelta(days=9)))
        programmes.grant(tx, Grant("digest", "p", Decimal(WORTH), account=id, use_within=timedelta(days=9)))
        ledger.post(tx, "redeem/r", [Line("given/p", f"{CHIP}-hours", Decimal(-WORTH)),
                                     Line(credit, f"{CHIP}-hours", Decimal(WORTH))], stage.now(), "p: redeemed")
    in_use(stage, id, 1)
    stage.pass_time(USED)
    in_use(stage, id, 0)
    stage.pass_time(IDLE)
    return id


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("name", ["meter.keep", "stretch.claim", "extend.place", "extend.arm", "extend.save"])
def test_a_later_end_that_was_killed_on_its_way_comes_with_the_next_round(stage: Stage, name: str, moment: str) -> None:
    """Lost or armed, the site never allows more than ten hours; then site and record agree, and the sums."""
    id = used_in_part(stage)
    begun = stage.records()[0].account.starts_at
    assert begun is not None
    assert stage.processes.run(stage.order("rounds", f"{name}.{moment}")) == -signal.SIGKILL
    with stage.site() as world:
        assert world.tenancies[id].end - begun.timestamp() <= WORTH * HOUR + IDLE + MINUTE
    stage.pass_time(ROUND_LAPSES)
    stage.must("rounds")
    with stage.ctx.store.read() as tx:
        assert ledger.check(tx) == []
        used = ledger.balance(tx, f"used/{id}/{CHIP}-hours")
        moved = [entry.action for entry in journal.list_(tx, subject=id)].count("account.stretched")
    ends_at = stage.records()[0].account.ends_at
    assert ends_at is not None
    with stage.site() as world:
        there = world.tenancies[id].end
    assert abs(used * 3600 - Decimal(USED)) < 60
    assert (moved, there) == (1, ends_at.timestamp())
    assert there - begun.timestamp() > WORTH * HOUR + IDLE - MINUTE
