"""Every callback of whole lives, at a receiver that is not ours: Node, with the specification's own library."""

import http.client
import json
import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from ipaddress import IPv4Network
from pathlib import Path

import pytest
from standardwebhooks import Webhook

from orchestrator.flows.delivery.notify import Notifier
from orchestrator.flows.delivery.webhook import body_of
from orchestrator.flows.messages.callbacks import facts
from orchestrator.flows.messages.tell import MAILED
from orchestrator.settings import Callbacks
from orchestrator.store import accounts, outbox, senders
from tests.entry.node_project import NODE, node
from tests.flows import life
from tests.flows import town as towns
from tests.flows.town import Town

__all__ = ["node"]

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "integrators.md"
EVENTS = MAILED | {"account.converted"}


@dataclass
class Receiver:
    """A process of its own, and the address it listens at."""

    process: subprocess.Popen[str]
    port: int

    def stopped(self) -> list[list[str]]:
        """What it has printed: event and account, in the order in which they came."""
        self.process.terminate()
        said, _ = self.process.communicate(timeout=30)
        return [line.split() for line in said.splitlines()]

    def post(self, body: bytes, headers: dict[str, str]) -> int:
        """The answer to a request that Tenure did not make."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.request("POST", "/hook", body, headers)
        status = connection.getresponse().status
        connection.close()
        return status


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    """A Tenure whose life begins now, and passes as tests will."""
    with towns.town(tmp_path / "home") as made:
        made.clock.at = datetime.now(UTC)
        for site in made.sites.values():
            with site.keeper.held() as world:
                world.at = made.clock.at.timestamp()
        yield made


@pytest.fixture
def receiver(town: Town, node: Path) -> Iterator[Receiver]:
    """The example for receivers, as integrators copy it; the town's sender has it as its callback."""
    process = subprocess.Popen([NODE, "receive.mjs", "0"], cwd=node, stdout=subprocess.PIPE, text=True,
                               env={"PATH": os.environ["PATH"], "TENURE_SECRET": town.secret})
    assert process.stdout is not None
    port = int(process.stdout.readline().rsplit(" ", 1)[1])
    settings = town.ctx.settings.model_copy(update={"callbacks": Callbacks(allow=(IPv4Network("127.0.0.0/8"),))})
    town.ctx = replace(town.ctx, settings=settings)
    with town.store.write() as tx:
        senders.set_callback(tx, town.sender.id, f"http://127.0.0.1:{port}/hook")
    yield Receiver(process, port)
    process.terminate()
    process.wait(30)
    process.stdout.close()


def deliver(town: Town) -> None:
    """What is due by the town's clock, signed by the machine's: the receiver has no other."""
    notifier = Notifier(replace(town.ctx, clock=lambda: datetime.now(UTC)))
    notifier.tick(town.clock.at)
    assert notifier.idle(60)


def test_every_event_of_whole_lives_is_verified_by_the_receiver(town: Town, receiver: Receiver) -> None:
    """Each message once, each kind there is; none is left."""
    life.everything(town, lambda: deliver(town))
    with town.store.read() as tx:
        rows = outbox.find(tx, outbox.Filter(), 1000)
    heard = receiver.stopped()
    assert {event for event, _ in heard} == EVENTS
    assert sorted(heard) == sorted([row.type, row.account] for row in rows if row.sent_at is not None)
    assert [row.type for row in rows if row.sent_at is None and row.due_at is not None] == []


def test_a_changed_byte_is_refused_by_the_receiver(town: Town, receiver: Receiver) -> None:
    """As is another's secret, and another id."""
    now, body = datetime.now(UTC), '{"type":"account.usable","data":{"account":"a234567890"}}'
    headers = {"webhook-id": "msg_1", "webhook-timestamp": str(int(now.timestamp())),
               "webhook-signature": Webhook(town.secret).sign("msg_1", now, body), "content-type": "application/json"}
    answers = [receiver.post(body.encode(), headers), receiver.post(body.replace("0", "1").encode(), headers),
               receiver.post(body.encode(), headers | {"webhook-id": "msg_2"})]
    assert answers == [204, 401, 401]
    assert receiver.stopped() == [["account.usable", "a234567890"]]


def test_the_guide_has_every_event_with_its_fields(town: Town) -> None:
    """Whatever is in a callback stands in the table."""
    life.everything(town, lambda: None)
    with town.store.read() as tx:
        rows = outbox.find(tx, outbox.Filter(), 1000)
        common = set(facts(accounts.record(tx, rows[0].account).account))
    table = {cells[1].strip(" `"): set(re.findall(r"`(\w+)`", cells[4]))
             for line in GUIDE.read_text("utf-8").splitlines()
             if line.startswith("| `") and len(cells := line.split("|")) == 6}
    assert set(table) == EVENTS | {"draw.passed_on", "sender.test"}
    for row in rows:
        fields = set(json.loads(body_of(town.ctx, row))["data"]) - common
        assert fields <= table[row.type], row.type
