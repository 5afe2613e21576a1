"""SIGKILL around a notice, a drain and a retry: told as often as it is written down, and no end is delayed."""

import signal
from collections import Counter

import pytest

from orchestrator.flows.effects import NAMES
from orchestrator.store import journal, outbox, sites
from tests.faults.stage import LEASE_LAPSES, Stage, check_everything_ended

ACTS = ("notice.tell", "notice.show", "drain.set", "ask.retry")
MOMENTS = pytest.mark.parametrize("moment", ["before", "after"])


def test_every_side_effect_of_these_is_killed_at() -> None:
    """A new one has to be added here."""
    assert set(ACTS) == {name for name in NAMES if name.startswith(("notice.", "drain.", "ask.retry"))}


@MOMENTS
@pytest.mark.parametrize("name", ["notice.tell", "notice.show"])
def test_a_notice_is_told_as_often_as_it_is_written_down(stage: Stage, name: str, moment: str) -> None:
    """Killed before its commit it never was; killed after, the message goes out without the terminal."""
    id = stage.redeem()
    stage.must("ACTIVE")
    order = stage.order("idle", f"{name}.{moment}", act=f"notice {id}")
    assert stage.processes.run(order) == -signal.SIGKILL
    with stage.ctx.store.read() as tx:
        written = Counter(row.action for row in journal.list_(tx, subject=id))["account.noticed"]
        told = Counter(message.type for message in outbox.find(tx, outbox.Filter(account=id)))["account.notice"]
    assert written == told == int((name, moment) != ("notice.tell", "before"))
    stage.pass_time(LEASE_LAPSES)
    stage.to_the_end()
    check_everything_ended(stage)


@MOMENTS
def test_a_drain_is_whole_or_not_at_all(stage: Stage, moment: str) -> None:
    """The site and the journal say the same."""
    assert stage.processes.run(stage.order("idle", f"drain.set.{moment}", act="drain north")) == -signal.SIGKILL
    with stage.ctx.store.read() as tx:
        row, written = sites.get(tx, "north"), [one.action for one in journal.list_(tx, subject="north")]
    assert row is not None
    assert (row.drained, written) == ((False, []) if moment == "before" else (True, ["site.drained"]))


@MOMENTS
def test_a_retry_is_whole_or_not_at_all(stage: Stage, moment: str) -> None:
    """Asked for and written down, or neither; the account ends as always."""
    id = stage.redeem()
    stage.must("stuck", trouble="stack")
    due = stage.records()[0].due_at
    assert stage.processes.run(stage.order("idle", f"ask.retry.{moment}", act=f"retry {id}")) == -signal.SIGKILL
    with stage.ctx.store.read() as tx:
        written = [row.action for row in journal.list_(tx, subject=id)].count("account.retry_asked")
    assert (written, stage.records()[0].due_at == due) == ((0, True) if moment == "before" else (1, False))
    stage.pass_time(LEASE_LAPSES)
    stage.must("ACTIVE")
    stage.to_the_end()
    check_everything_ended(stage)
