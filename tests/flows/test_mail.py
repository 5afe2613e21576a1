"""Mail to holders: a real server with TLS and a password, what it is handed, and what becomes of the rest."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.flows.notify import Notifier
from orchestrator.store import outbox
from orchestrator.store.outbox import Filter, Message
from tests.flows import postoffice
from tests.flows.postoffice import PostOffice
from tests.flows.town import HOLDER, Town


@pytest.fixture
def post(tmp_path: Path, town: Town) -> Iterator[PostOffice]:
    """The town has a mail server."""
    with postoffice.office(tmp_path / "post") as made:
        town.ctx = replace(town.ctx, settings=town.ctx.settings.model_copy(update={"mail": made.settings}))
        yield made


def deliver(town: Town) -> None:
    """One round of what is due."""
    notifier = Notifier(town.ctx)
    notifier.tick(town.clock.at)
    assert notifier.idle(30)


def mails(town: Town, **which: object) -> list[Message]:
    """Rows of the outbox that are mail, oldest first."""
    with town.store.read() as tx:
        found = outbox.find(tx, Filter(channel="mail", **which), 1000)  # type: ignore[arg-type]
    return found[::-1]


def test_a_holder_is_written_to_when_it_is_redeemed_and_when_it_is_usable(town: Town, post: PostOffice) -> None:
    """Over TLS, with the password; to nobody else."""
    town.active()
    deliver(town)
    assert post.box.to == [HOLDER.email, HOLDER.email]
    assert {mail["Tenure-Event"] for mail in post.box.mails} == {"account.redeemed", "account.usable"}
