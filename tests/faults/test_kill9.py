"""SIGKILL before and after every side effect of provision, fence, reclaim and convert, then a restart, then the checks.

The site is in a file of its own and outlives the worker. NAMES decides what is tested: a new effect without a scene
fails here.
"""

import signal
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from orchestrator.flows.effects import NAMES
from orchestrator.store import outbox
from tests.faults.stage import BRIEF, LEASE_LAPSES, Processes, Stage, check_everything_ended

FLOWS = ("provision", "fence", "reclaim", "convert", "warn", "sweep")
HOUR = 3600.0


def requested(stage: Stage) -> None:
    """An account that is to be made."""
    stage.redeem()


def full_here(stage: Stage) -> None:
    """The account's site takes nobody, and there is another."""
    stage.second()
    requested(stage)
    with stage.site() as world:
        world.faults.full = True


def booked(stage: Stage) -> None:
    """An account that is to begin in a quarter of an hour, and is to be prepared by now."""
    stage.redeem(begins_at=stage.now() + timedelta(minutes=15))
    stage.pass_time(360)


def opened_and_killed(stage: Stage) -> None:
    """Killed between opening and its commit: the next try is a resumed one."""
    stage.redeem()
    assert stage.run("ACTIVE", "provision.open.after") == -signal.SIGKILL
    stage.pass_time(LEASE_LAPSES)


def too_late(stage: Stage) -> None:
    """Past its deadline before anybody began."""
    stage.redeem()
    stage.pass_time(stage.offer.provision_within.total_seconds() + 1)


def active(stage: Stage) -> None:
    stage.redeem()
    stage.must("ACTIVE")


def at_the_end(stage: Stage) -> None:
    """The end has come while nobody worked."""
    active(stage)
    stage.pass_time(HOUR)


def two_at_the_end(stage: Stage) -> None:
    """Two accounts, so that there is a batch."""
    stage.redeem("e-2", 1)
    at_the_end(stage)


def unfenceable(stage: Stage) -> None:
    """At the end, the account is poisoned."""
    at_the_end(stage)
    with stage.site() as world:
        world.faults.poisoned = [record.id for record in stage.records()]


def past_grace(stage: Stage) -> None:
    at_the_end(stage)
    stage.must("FENCED")
    stage.pass_time(HOUR)


def unlistable(stage: Stage) -> None:
    """Past grace, one listing fails."""
    past_grace(stage)
    with stage.site() as world:
        world.faults.unlisted = ["cron"]


def asked(stage: Stage) -> None:
    """A contract for a usable account."""
    active(stage)
    stage.ask(stage.records()[0].id)


def asked_when_fenced(stage: Stage) -> None:
    """A contract in grace."""
    at_the_end(stage)
    stage.must("FENCED")
    stage.ask(stage.records()[0].id)


def asked_in_the_last_second(stage: Stage) -> None:
    """A contract before the end by our clock; by the site's clock the end is over."""
    asked(stage)
    with stage.site() as world:
        world.offset = stage.ahead + HOUR + 1
        world.tick()


Scene = tuple[Callable[[Stage], None], str]
SCENES: Mapping[str, Scene] = {
    "sweep.claim": (requested, ""),
    "provision.begin": (requested, ""), "provision.arm": (requested, ""), "provision.up": (requested, ""),
    "provision.open": (requested, ""), "provision.active": (requested, ""),
    "provision.settle": (opened_and_killed, ""), "provision.failed": (too_late, ""),
    "provision.later": (requested, "stack"), "provision.prepared": (booked, ""),
    "provision.destroy": (full_here, ""), "provision.clean": (full_here, ""), "provision.forget": (full_here, ""),
    "provision.elsewhere": (full_here, ""),
    "fence.site": (at_the_end, ""), "fence.save": (at_the_end, ""), "fence.each": (two_at_the_end, "brittle"),
    "fence.later": (unfenceable, ""),
    "reclaim.fence": (past_grace, ""), "reclaim.begin": (past_grace, ""), "reclaim.inventory": (past_grace, ""),
    "reclaim.destroy": (past_grace, ""), "reclaim.clean": (past_grace, ""), "reclaim.forget": (past_grace, ""),
    "reclaim.done": (past_grace, ""), "reclaim.later": (unlistable, ""),
    "convert.refresh": (asked, ""), "convert.accept": (asked, ""), "convert.arm": (asked, ""),
    "convert.armed": (asked, ""), "convert.up": (asked, ""), "convert.done": (asked, ""),
    "convert.unfence": (asked_when_fenced, ""), "convert.overtaken": (asked_in_the_last_second, ""),
    "convert.refuse": (asked, "replace"), "convert.later": (asked, "stack"),
}
WARNINGS = ("warn.notice", "warn.save", "warn.later")
"""With an offer of their own, below."""
CLAIMS_ONLY = {"sweep.renew", "sweep.give_back"}
"""These change nothing but a claim, which lapses by itself."""


def test_every_side_effect_of_these_flows_has_a_scene() -> None:
    """An effect without one would never be killed at."""
    assert set(SCENES) | set(WARNINGS) | CLAIMS_ONLY == {name for name in NAMES if name.split(".")[0] in FLOWS}


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("name", sorted(SCENES))
def test_killed_there_everything_still_ends_once(stage: Stage, name: str, moment: str) -> None:
    """Killed, restarted, lived to the end: one account, gone, the journal right, the event still answered."""
    prepare, trouble = SCENES[name]
    prepare(stage)
    killed = stage.run("RECLAIMED", f"{name}.{moment}", trouble)
    assert killed == -signal.SIGKILL
    with stage.site() as world:
        world.faults.poisoned, world.faults.unlisted, world.offset = [], [], stage.ahead
    stage.pass_time(LEASE_LAPSES)
    stage.must()
    stage.to_the_end()
    check_everything_ended(stage, events=len(stage.records()))


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("name", ["convert.refresh", "convert.accept", "convert.arm", "convert.armed", "convert.up",
                                  "convert.done"])
def test_a_conversion_killed_there_is_finished_in_place(stage: Stage, name: str, moment: str) -> None:
    """The next worker finishes it: the same uid at the site, one conversion told, no fence on the way."""
    asked(stage)
    id = stage.records()[0].id
    uid = stage.uid(id)
    assert stage.run("CONTRACTED", f"{name}.{moment}") == -signal.SIGKILL
    stage.pass_time(LEASE_LAPSES)
    stage.must("CONTRACTED")
    with stage.site() as world:
        tenancy = world.tenancies[id]
    assert stage.uid(id) == uid
    assert tenancy.usable
    assert tenancy.end == stage.records()[0].account.ends_at.timestamp()  # type: ignore[union-attr]


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("name", WARNINGS)
def test_a_warning_killed_there_is_given_once_and_delays_no_end(tmp_path: Path, processes: Processes, name: str,
                                                                moment: str) -> None:
    """The sender is told once, and the account ends as always."""
    stage = Stage(tmp_path / "home", processes, replace(BRIEF, warn_before=(timedelta(minutes=10),)))
    active(stage)
    id = stage.records()[0].id
    stage.pass_time(HOUR - 600)
    with stage.site() as world:
        world.faults.poisoned = [id] if name == "warn.later" else []
    assert stage.run("FENCED", f"{name}.{moment}") == -signal.SIGKILL
    with stage.site() as world:
        world.faults.poisoned = []
    stage.pass_time(LEASE_LAPSES)
    stage.must()
    with stage.ctx.store.read() as tx:
        told = [message.type for message in outbox.find(tx, outbox.Filter(account=id))]
    assert told.count("account.warning") == 1
    stage.to_the_end()
    check_everything_ended(stage)
    stage.close()
