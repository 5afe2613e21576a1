"""What came of trying to deliver a message, and what follows: done, tried again with growing pauses, given up."""

import logging
from dataclasses import dataclass
from datetime import timedelta

from orchestrator.flows.context import Context
from orchestrator.flows.effects import commit
from orchestrator.store import outbox
from orchestrator.store.errors import Conflict
from orchestrator.store.outbox import Message

log = logging.getLogger(__name__)

SHORTEST_PAUSE, LONGEST_PAUSE = timedelta(seconds=5), timedelta(hours=6)


@dataclass(frozen=True, slots=True)
class Outcome:
    """`error` None: whoever it was for has it, or nobody is there to. No secret and no address is in an error."""

    error: str | None = None
    final: bool = False
    """Trying again is of no use."""
    away: bool = False
    """The other side as a whole does not answer: what else waits for it need not be tried now."""


def settle(ctx: Context, message: Message, outcome: Outcome) -> None:
    """Write down what came of it."""
    error = outcome.error
    if error is None:
        commit("notify.save", ctx.store, lambda tx: outbox.sent(tx, message.id, ctx.clock()))
        return
    now = ctx.clock()
    if outcome.final or now - message.since > _give_up_after(ctx, message):
        log.error("%s %s (%s of %s) is given up: %s", message.channel, message.id, message.type, message.account, error)
        again = None
    else:
        # Half as long again as it has waited so far: pauses grow, however often a claim has lapsed.
        again = now + min(max((now - message.since) / 2, SHORTEST_PAUSE), LONGEST_PAUSE)
    try:
        commit("notify.save", ctx.store, lambda tx: outbox.later(tx, message.id, again, error))
    except Conflict:
        log.debug("%s %s was delivered meanwhile", message.channel, message.id)


def _give_up_after(ctx: Context, message: Message) -> timedelta:
    mail = ctx.settings.mail
    if message.channel == outbox.MAIL and mail is not None:
        return mail.give_up_after
    return ctx.settings.callbacks.give_up_after
