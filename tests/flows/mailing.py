"""What tests of mail share: a town with a mail server, one round of delivery, and the outbox's mail."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.flows.delivery.notify import Notifier
from orchestrator.settings import Mail
from orchestrator.store import outbox
from orchestrator.store.outbox import Filter, Message
from tests.flows import postoffice
from tests.flows.postoffice import PostOffice
from tests.flows.town import Town


def use(town: Town, settings: Mail | None) -> None:
    """The town's mail settings from now on."""
    town.ctx = replace(town.ctx, settings=town.ctx.settings.model_copy(update={"mail": settings}))


@pytest.fixture
def post(tmp_path: Path, town: Town) -> Iterator[PostOffice]:
    """The town has a mail server that wants TLS and a password."""
    with postoffice.office(tmp_path / "post") as made:
        use(town, made.settings)
        yield made


def deliver(town: Town) -> None:
    """One round of what is due."""
    notifier = Notifier(town.ctx)
    notifier.tick(town.clock.at)
    assert notifier.idle(60)


def mails(town: Town, **which: object) -> list[Message]:
    """Rows of the outbox that are mail, oldest first."""
    with town.store.read() as tx:
        found = outbox.find(tx, Filter(channel="mail", **which), 1000)  # type: ignore[arg-type]
    return found[::-1]
