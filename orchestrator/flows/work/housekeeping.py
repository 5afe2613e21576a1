"""What a worker does beside the sweep: seal the journal, mark vouchers that ran out of time, pass on what winners of
draws did not redeem, forget sessions that are over and messages that were sent or given up long ago."""

import logging
import threading
from datetime import timedelta

from orchestrator.flows.context import Context
from orchestrator.flows.effects import commit, effect
from orchestrator.flows.vouchers import draw
from orchestrator.store import journal, outbox, sessions, vouchers
from orchestrator.store.engine import Tx
from orchestrator.store.errors import StoreError

log = logging.getLogger(__name__)

EVERY = timedelta(seconds=1)
MINUTE = 60
"""In rounds."""
MESSAGES_KEPT = timedelta(days=90)
MOST_FORGOTTEN = 500
"""Messages in one transaction: others wait for it no longer than for any other."""


def run(ctx: Context, stop: threading.Event) -> None:
    """Until told to stop. What fails is done in a later round."""
    rounds = 0
    while not stop.wait(EVERY.total_seconds()):
        try:
            checkpoint = ctx.settings.checkpoint(ctx.home)
            while effect("keep.seal", journal.seal, ctx.store, checkpoint) and not stop.is_set():
                continue
            if rounds % MINUTE == 0:
                commit("keep.expire", ctx.store, lambda tx: _expire(ctx, tx))
                draw.pass_all_on(ctx)
        except (StoreError, OSError) as error:
            log.error("housekeeping: %s", error)
        rounds += 1


def _expire(ctx: Context, tx: Tx) -> None:
    vouchers.expire(tx, ctx.clock())
    sessions.expire(tx, ctx.clock(), ctx.settings.sessions.idle)
    outbox.forget(tx, ctx.clock() - MESSAGES_KEPT, MOST_FORGOTTEN)
