"""SIGKILL at every side effect of a rescue and of an export: asked again it works, and the account
ends as ever."""

import signal

import pytest

from orchestrator.flows.effects import NAMES
from orchestrator.store import claims, journal
from tests.faults.stage import Stage, check_everything_ended
from tests.faults.test_kill9 import HOUR, active, at_the_end
from tests.flows.town import public_key

REFUSED = ("rescue.unpin",)
ALLOWED = ("rescue.pin", "rescue.allow", "rescue.keep")
EXPORTS = ("export.begin", "export.done")


def ask(stage: Stage, key: str, failpoint: str = "") -> int:
    """The holder asks at a door; the exit code of its process."""
    id = stage.records()[0].id
    return stage.processes.run(stage.order("idle", failpoint, act=f"rescue {id} {key.rsplit(' ', 1)[0]}"))


def test_every_side_effect_of_these_is_here() -> None:
    """An effect without a test would never be killed at."""
    assert {*ALLOWED, *REFUSED, *EXPORTS} == {name for name in NAMES if name.startswith(("rescue.", "export."))}


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("name", EXPORTS)
def test_an_export_killed_there_can_be_made_again(stage: Stage, name: str, moment: str) -> None:
    """It held nothing up: the journal says that it was begun, and the account ends as ever."""
    at_the_end(stage)
    stage.must("FENCED")
    id = stage.records()[0].id
    assert stage.processes.run(stage.order("idle", f"{name}.{moment}", act=f"export {id}")) == -signal.SIGKILL
    assert stage.processes.run(stage.order("idle", act=f"export {id}")) == 0
    with stage.ctx.store.read() as tx:
        written = [entry.action for entry in journal.list_(tx, subject=id)]
    assert "account.exported" in written
    assert written.count("account.export_begun") == 2 - (name == "export.begin" and moment == "before")
    stage.to_the_end()
    check_everything_ended(stage)


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("name", ALLOWED)
def test_killed_there_the_same_key_fetches(stage: Stage, name: str, moment: str) -> None:
    """Asked again it is allowed, written down once, and everything ends as ever."""
    at_the_end(stage)
    stage.must("FENCED")
    key = public_key()
    assert ask(stage, key, f"{name}.{moment}") == -signal.SIGKILL
    assert ask(stage, key) == 0
    id = stage.records()[0].id
    with stage.site() as world:
        assert world.tenancies[id].rescue_until is not None
    with stage.ctx.store.read() as tx:
        assert [entry.action for entry in journal.list_(tx, subject=id)].count("account.rescue_opened") == 1
    stage.to_the_end()
    check_everything_ended(stage)


@pytest.mark.parametrize("moment", ["before", "after"])
def test_killed_when_refused_nothing_is_claimed_for_good(stage: Stage, moment: str) -> None:
    """A key that the site refuses, as of an account that an operator fenced, keeps nobody else out."""
    active(stage)
    id = stage.records()[0].id
    with stage.site() as world:
        world.fence(id, world.now(), "operator")
    stage.pass_time(HOUR)
    stage.must("FENCED")
    key = public_key()
    assert ask(stage, key, f"rescue.unpin.{moment}") == -signal.SIGKILL
    assert ask(stage, key) != 0
    with stage.ctx.store.read() as tx:
        assert claims.get(tx, id) is None
    stage.to_the_end()
    check_everything_ended(stage)
