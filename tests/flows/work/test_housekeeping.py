"""What a worker does beside the sweep, round by round."""

import threading
from datetime import timedelta

from orchestrator.flows.work import housekeeping
from orchestrator.store import outbox
from tests.flows.town import Town


class Once(threading.Event):
    """Lets one round run."""

    def __init__(self) -> None:
        super().__init__()
        self.rounds = 0

    def wait(self, timeout: float | None = None) -> bool:
        self.rounds += 1
        return self.rounds > 1


def test_messages_of_long_ago_are_forgotten(town: Town) -> None:
    """Sent 91 days ago; what waits since then, and what was sent 89 days ago, stays."""
    now = town.clock()
    with town.store.write() as tx:
        old, waiting, younger = (outbox.put(tx, town.sender.id, "account.fenced", "a222222222", {},
                                            now - timedelta(days=days)) for days in (91, 91, 89))
        outbox.sent(tx, old, now - timedelta(days=91))
        outbox.sent(tx, younger, now - timedelta(days=89))
    housekeeping.run(town.ctx, Once())
    with town.store.read() as tx:
        assert {one.id for one in outbox.find(tx, outbox.Filter())} == {waiting, younger}
