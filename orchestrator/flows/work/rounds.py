"""Rounds of the sites beside the sweep: meters, outages, looks. Each site has lanes of its own, apart from the sweep's:
one that answers slowly holds up no fence and no other site."""

import logging
import threading
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import partial

from orchestrator.flows.context import Context
from orchestrator.flows.effects import commit
from orchestrator.flows.lanes import Lanes
from orchestrator.flows.overview import looks
from orchestrator.flows.usage import metering, outages
from orchestrator.flows.vouchers import in_kind
from orchestrator.store import rounds
from orchestrator.store.engine import Tx
from orchestrator.store.errors import StoreError

log = logging.getLogger(__name__)

EVERY = timedelta(seconds=1)
LEASE = timedelta(minutes=30)
"""A worker that died in a round leaves it to others after so long."""
SOON = timedelta(minutes=1)
"""When a site that did not answer is asked again."""
USAGE, OUTAGES, LOOK = "usage", "outages", "look"

Lane = tuple[str, str]
"""Site, and kind of round: a long reading does not keep a site's outages waiting."""


class Rounds:
    """One worker's rounds. Many workers share them: each round is made by one."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._kinds = {USAGE: ctx.settings.metering.every, OUTAGES: ctx.settings.metering.outages,
                       LOOK: looks.EVERY}
        self._lanes: Lanes[Lane, str] = Lanes(self._round, self._drop)

    def run(self, stop: threading.Event) -> None:
        """Until told to stop."""
        while not stop.wait(EVERY.total_seconds()):
            try:
                self.tick()
            except StoreError as error:
                log.warning("the database does not answer, meters wait: %s", error)
            except Exception:
                log.exception("rounds")

    def tick(self) -> int:
        """Hand out what is due; answers how many rounds that are."""
        now = self._ctx.clock()
        with self._ctx.store.read() as tx:
            if not rounds.due(tx, self._kinds, now):
                return 0
        taken = commit("round.claim", self._ctx.store, lambda tx: rounds.claim(tx, self._kinds, now, LEASE))
        for site, what in taken:
            if not self._lanes.waiting((site, what)):
                self._lanes.put((site, what), [what])
        return len(taken)

    def idle(self, timeout: float | None = None) -> bool:
        """Wait until no round runs."""
        return self._lanes.idle(timeout)

    def _round(self, lane: Lane, _: Sequence[str]) -> bool:
        site, what = lane
        pause = self._kinds[what]
        seen = None
        if what == LOOK:
            seen = looks.look(self._ctx, site)
        elif what == OUTAGES:
            outages.swept(self._ctx, site)
        else:
            done = metering.read_site(self._ctx, site)
            in_kind.stretch(self._ctx, done.read)
            pause = min(SOON, pause) if done.down else pause
        at = self._ctx.clock() + pause
        commit("round.done", self._ctx.store, partial(_done, seen=seen, site=site, what=what, at=at))
        return False

    def _drop(self, lane: Lane, _: Sequence[str]) -> None:
        """Nothing: it is due again."""


def _done(tx: Tx, seen: Callable[[Tx], None] | None, site: str, what: str, at: datetime) -> None:
    """The round is over, with what was seen in it."""
    if seen is not None:
        seen(tx)
    rounds.again(tx, site, what, at)
