"""SIGKILL around every delivery: each message arrives, again if need be, and then so that it is known for the same."""

import signal
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import yaml

from orchestrator.flows.delivery.notify import LEASE
from orchestrator.flows.effects import NAMES
from orchestrator.store import journal, outbox, senders
from orchestrator.store.outbox import Filter, Message
from tests.faults.stage import BRIEF, Processes, Stage
from tests.flows import postoffice
from tests.flows.delivery.test_notify import Platform
from tests.flows.postoffice import PostOffice

DELIVERIES = ("notify.claim", "notify.send", "notify.save", "mail.send")
MOMENTS = pytest.mark.parametrize("moment", ["before", "after"])


@pytest.fixture
def post(tmp_path: Path) -> Iterator[PostOffice]:
    """A mail server that outlives every worker."""
    with postoffice.office(tmp_path / "post") as made:
        yield made


@pytest.fixture
def platform() -> Iterator[Platform]:
    """The sender's own server, which outlives them, too."""
    made = Platform()
    yield made
    made.close()


@pytest.fixture
def stage(tmp_path: Path, processes: Processes, post: PostOffice, platform: Platform) -> Iterator[Stage]:
    """A Tenure that tells both."""
    mail = post.settings.model_dump(mode="json", exclude_none=True) | {"timeout": 5, "give_up_after": 5 * 86400}
    settings = yaml.safe_dump({"mail": mail, "callbacks": {"allow": ["127.0.0.0/8"]}})
    made = Stage(tmp_path / "home", processes, BRIEF, settings=settings)
    with made.ctx.store.write() as tx:
        senders.set_callback(tx, made.sender.id, platform.url)
    yield made
    made.close()


def told(stage: Stage) -> list[Message]:
    with stage.ctx.store.read() as tx:
        return outbox.find(tx, Filter())


def test_every_side_effect_of_telling_is_killed_at() -> None:
    """A new one has to be added here."""
    assert {*DELIVERIES, "notify.turn", "outbox.resend"} == {
        name for name in NAMES if name.split(".")[0] in ("notify", "mail", "outbox")}


@MOMENTS
@pytest.mark.parametrize("name", DELIVERIES)
def test_killed_there_everything_still_arrives(stage: Stage, post: PostOffice, platform: Platform, name: str,
                                               moment: str) -> None:
    """By callback and by mail; what comes twice has the same id, and says the same."""
    stage.redeem()
    assert stage.run("told", f"{name}.{moment}") == -signal.SIGKILL
    stage.pass_time(LEASE.total_seconds() + 1)
    stage.must("told")
    assert {(row.channel, row.state) for row in told(stage)} == {("callback", "sent"), ("mail", "sent")}
    assert len({made["Message-ID"] for made in post.box.mails}) == len(set(post.box.raw)) == 1
    assert len({(headers["webhook-id"], body) for headers, body in platform.heard}) == 1
    if (name, moment) == ("mail.send", "after"):
        assert len(post.box.raw) == 2


@MOMENTS
def test_a_reminder_that_is_left_out_is_left_out_once(stage: Stage, post: PostOffice, moment: str) -> None:
    """Of a grace that is none; killed before it is written down, it is asked anew."""
    id = stage.redeem()
    stage.must("told")
    with stage.ctx.store.write() as tx:
        outbox.put(tx, stage.sender.id, "account.grace_ends", id, {"kept_until": "x"}, stage.now(), "mail")
    assert stage.run("told", f"notify.turn.{moment}") == -signal.SIGKILL
    stage.pass_time(LEASE.total_seconds() + 1)
    stage.must("told")
    reminder = next(row for row in told(stage) if row.type == "account.grace_ends")
    assert (reminder.state, reminder.error) == ("given up", "this grace is over")
    assert len(post.box.raw) == 1


@MOMENTS
def test_a_resend_happens_with_its_journal_row_or_not_at_all(stage: Stage, post: PostOffice, moment: str) -> None:
    """And is delivered by whoever comes next."""
    id = stage.redeem()
    stage.must("told")
    stage.pass_time(timedelta(minutes=1).total_seconds())
    [mail] = [row for row in told(stage) if row.channel == "mail"]
    order = stage.order("told", f"outbox.resend.{moment}", act=f"resend {mail.id}")
    assert stage.processes.run(order) == -signal.SIGKILL
    stage.must("told")
    again = int(moment == "after")
    assert len(post.box.raw) == 1 + again
    assert len({made["Message-ID"] for made in post.box.mails}) == 1
    with stage.ctx.store.read() as tx:
        assert [row.action for row in journal.list_(tx, subject=id)].count("outbox.resent") == again
