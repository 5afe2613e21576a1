"""The examples that integrators copy, run as they stand: clients in Python, Node and curl, a receiver of callbacks."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from ipaddress import IPv4Network
from pathlib import Path

import pytest

from orchestrator.flows.delivery.notify import deliver
from orchestrator.flows.delivery.webhook import body_of
from orchestrator.settings import Callbacks
from orchestrator.store import outbox, senders
from tests.entry.http_site import usable
from tests.entry.http_world import World
from tests.entry.node_project import EXAMPLES, NODE, node

__all__ = ["node"]


def redeemed(tenure: World, command: list[str], event: str, secret: str | None = None,
             where: Path | None = None) -> str:
    """Run an example twice with one event id: one account, and both print the same answer."""
    voucher = tenure.codes()[0]
    environment = {"PATH": os.environ["PATH"], "TENURE_SECRET": secret or tenure.secret, "EVENT_ID": event,
                   "EVENT_TIME": "2026-01-31T08:00:00Z"}
    seen = [subprocess.run([*command, tenure.url, "platform", voucher], env=environment, cwd=where, timeout=60,
                           capture_output=True, text=True, check=False) for _ in range(2)]
    assert seen[0].stdout == seen[1].stdout, seen[1].stderr
    return seen[0].stdout + seen[0].stderr


def test_the_python_example_redeems(tenure: World) -> None:
    """With the official library."""
    assert '"claim_url"' in redeemed(tenure, [sys.executable, str(EXAMPLES / "redeem.py")], "python-1")


def test_the_node_example_redeems(tenure: World, node: Path) -> None:
    """With the official library of another language, locked by hash."""
    assert '"claim_url"' in redeemed(tenure, [NODE, "redeem.mjs"], "node-1", where=node)


def test_the_curl_example_redeems(tenure: World) -> None:
    """Without any library."""
    assert '"claim_url"' in redeemed(tenure, ["sh", str(EXAMPLES / "redeem.sh")], "curl-1")


def test_an_example_with_another_senders_secret_is_refused(tenure: World) -> None:
    """Attack 1, through the official library."""
    command = [sys.executable, str(EXAMPLES / "redeem.py")]
    assert "signature_wrong" in redeemed(tenure, command, "python-2", secret=tenure.other_secret)


@contextmanager
def receiver(secret: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """The receiving example, and its port."""
    process = subprocess.Popen([sys.executable, str(EXAMPLES / "receive.py"), "0"], stdout=subprocess.PIPE, text=True,
                               env={"PATH": os.environ["PATH"], "TENURE_SECRET": secret})
    try:
        assert process.stdout is not None
        yield process, int(process.stdout.readline().rsplit(" ", 1)[1])
    finally:
        process.terminate()
        process.wait(10)


def test_the_receiver_takes_each_callback_once(tenure: World) -> None:
    """Signed by Tenure, verified by the official library; the same event again is not a second one."""
    account, _ = usable(tenure, "callback-1")
    allowed = replace(tenure.ctx, settings=tenure.ctx.settings.model_copy(
        update={"callbacks": Callbacks(allow=(IPv4Network("127.0.0.0/8"),))}))
    with receiver(tenure.secret) as (process, port):
        with tenure.ctx.store.write() as tx:
            senders.set_callback(tx, tenure.platform, f"http://127.0.0.1:{port}/hook")
        with tenure.ctx.store.read() as tx:
            [message] = outbox.find(tx, outbox.Filter(account=account, type="account.usable"))
        assert [deliver(allowed, message), deliver(allowed, message)] == [True, True]
        process.terminate()
        assert process.stdout is not None
        lines = process.stdout.read().splitlines()
    assert lines == [f"account.usable {account}"]


def test_the_receiver_takes_a_test_of_the_operator(tenure: World) -> None:
    """It is about no account."""
    allowed = replace(tenure.ctx, settings=tenure.ctx.settings.model_copy(
        update={"callbacks": Callbacks(allow=(IPv4Network("127.0.0.0/8"),))}))
    with receiver(tenure.secret) as (process, port):
        with tenure.ctx.store.write() as tx:
            senders.set_callback(tx, tenure.platform, f"http://127.0.0.1:{port}/hook")
            id = outbox.put(tx, tenure.platform, "sender.test", "-", {"sender": tenure.platform}, tenure.ctx.clock())
        with tenure.ctx.store.read() as tx:
            message = outbox.get(tx, id)
        assert message is not None
        assert deliver(allowed, message)
        process.terminate()
        assert process.stdout is not None
        assert process.stdout.read().splitlines() == ["sender.test -"]


def test_the_usable_callback_brings_the_claim_link(tenure: World) -> None:
    """A platform may send it on; it is in the message and not in the database."""
    account, url = usable(tenure, "callback-2")
    with tenure.ctx.store.read() as tx:
        message = next(one for one in outbox.find(tx, outbox.Filter(account=account)) if one.type == "account.usable")
    token = url.rsplit("/", 1)[1]
    assert token in body_of(tenure.ctx, message).decode()
    assert token not in str(message.data)


@pytest.mark.parametrize("name", ["redeem.py", "redeem.mjs", "redeem.sh", "receive.py", "receive.mjs"])
def test_the_guide_shows_the_examples_as_they_are(name: str) -> None:
    """What is copied from the page is what the tests above have run."""
    guide = (Path(__file__).resolve().parents[2] / "docs" / "integrators.md").read_text("utf-8")
    assert (EXAMPLES / name).read_text("utf-8").rstrip() in guide
