"""SIGKILL before and after every side effect of reading meters and of making outages good, then a restart: nothing that
was used is lost or counted twice, and an outage is made good exactly once, at the site and here alike."""

import json
import signal
from collections.abc import Callable, Mapping
from datetime import timedelta
from decimal import Decimal

import pytest

from orchestrator.flows.effects import NAMES
from orchestrator.lifecycle.outage import Outcome
from orchestrator.lifecycle.programme import Benefit, Programme
from orchestrator.store import accounts, certificates, journal, outages, programmes, usage
from orchestrator.store.programmes import Grant
from providers.memory import meters
from tests.faults.stage import Stage

MINUTE = 60.0
ROUND_LAPSES = 31 * MINUTE
LOST = 10 * MINUTE


def active(stage: Stage) -> str:
    stage.redeem()
    stage.must("ACTIVE")
    return stage.records()[0].id


def burn(stage: Stage, id: str, core_seconds: float) -> None:
    with stage.site() as world:
        world.tenancies[id].cpu_seconds += core_seconds


def metered(stage: Stage) -> str:
    """Ten minutes after it became usable, with something to read."""
    id = active(stage)
    burn(stage, id, 300)
    stage.pass_time(10 * MINUTE)
    return id


def out(stage: Stage) -> str:
    """Of no programme; its site was out, and tells."""
    id = active(stage)
    with stage.site() as world:
        meters.fall(world)
    stage.pass_time(LOST)
    with stage.site() as world:
        meters.rise(world)
    return id


def owed(stage: Stage) -> str:
    """The same, under a programme that makes it good."""
    id = out(stage)
    with stage.ctx.store.write() as tx:
        programmes.put(tx, Programme("p", Benefit.TRIAL, "p", "p", outage_credit=timedelta(hours=1)))
        programmes.grant(tx, Grant("digest", "p", Decimal(1), account=id))
    return id


Scene = tuple[Callable[[Stage], str], Callable[[Stage, str], str]]


def by_itself(stage: Stage, id: str) -> str:
    """Nobody does anything."""
    return ""


def waived(stage: Stage, id: str) -> str:
    return f"waive {id}"


def told(stage: Stage, id: str) -> str:
    """An operator tells of an outage of the last two minutes."""
    return f"outage {(stage.now() - timedelta(minutes=2)).isoformat()} {stage.now().isoformat()}"


SCENES: Mapping[str, Scene] = {
    "round.claim": (metered, by_itself), "meter.keep": (metered, by_itself), "round.done": (metered, by_itself),
    "meter.waive": (metered, waived),
    "outage.add": (metered, told), "outage.keep": (out, by_itself), "outage.credit": (out, by_itself),
    "outage.settle": (owed, by_itself), "outage.claim": (owed, by_itself),
}
MOVING = ("outage.keep", "outage.claim", "extend.place", "extend.arm", "extend.save", "operator.notice",
          "outage.settle")


def test_every_side_effect_of_the_rounds_has_a_scene() -> None:
    """An effect without one would never be killed at."""
    assert set(SCENES) == {name for name in NAMES if name.split(".")[0] in ("round", "meter", "outage")}


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("name", sorted(SCENES))
def test_killed_there_the_next_round_does_it_all(stage: Stage, name: str, moment: str) -> None:
    """The meters' sums are what was used, and every outage that is known has been settled."""
    prepare, act = SCENES[name]
    id = prepare(stage)
    with stage.site() as world:
        burnt = round(world.tenancies[id].cpu_seconds * 1000)
    order = stage.order("rounds", f"{name}.{moment}", act=act(stage, id))
    assert stage.processes.run(order) == -signal.SIGKILL
    stage.pass_time(ROUND_LAPSES)
    stage.must("rounds")
    with stage.ctx.store.read() as tx:
        assert abs(usage.totals(tx, id)["cpu"] - burnt) <= 1
        known = outages.list_(tx)
        written = [entry.action for entry in journal.list_(tx, subject=id, limit=1000)]
    assert all(one.settled_at is not None for one in known)
    assert written.count("account.credited") == len(known) <= 1


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("name", MOVING)
def test_an_end_whose_moving_was_killed_there_is_moved_once(stage: Stage, name: str, moment: str) -> None:
    """By what was lost; the site, the row, the credit and the journal say the same."""
    id = owed(stage)
    before = stage.records()[0].account.ends_at
    assert stage.run("rounds", f"{name}.{moment}") == -signal.SIGKILL
    stage.pass_time(2 * MINUTE)
    stage.must("rounds")
    with stage.ctx.store.read() as tx:
        after = accounts.record(tx, id).account.ends_at
        credits = outages.credits_of(tx, id)
        written = [entry.action for entry in journal.list_(tx, subject=id, limit=1000)]
    with stage.site() as world:
        assert after is not None
        assert world.tenancies[id].end == after.timestamp()
    assert before is not None
    assert [one.outcome for one in credits] == [Outcome.EXTENDED]
    assert after - before == timedelta(seconds=credits[0].seconds)
    assert LOST <= credits[0].seconds <= LOST + 5
    assert (written.count("account.credited"), written.count("account.extended")) == (1, 0)
    stage.to_the_end()


@pytest.mark.parametrize("point", ["reclaim.inventory.before", "reclaim.inventory.after", "reclaim.destroy.before",
                                   "reclaim.destroy.after", "reclaim.clean.after"])
def test_a_worker_killed_between_reading_and_removing_loses_no_reading(stage: Stage, point: str) -> None:
    """The certificate has all that was ever used, once."""
    id = metered(stage)
    stage.pass_time(3600)
    stage.must("FENCED")
    stage.pass_time(3600)
    assert stage.run("RECLAIMED", point) == -signal.SIGKILL
    stage.pass_time(MINUTE)
    stage.must("RECLAIMED")
    with stage.ctx.store.read() as tx:
        signed = certificates.get(tx, id)
    assert signed is not None
    used = json.loads(signed.document)["usage"]
    assert abs(used["amounts"]["cpu"] - 300_000) <= 4
    assert used["gaps_seconds"] == {}
