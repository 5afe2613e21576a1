"""Sending again what was sent, or was given up: under the same id, so that whoever has it already knows it again."""

from collections.abc import Collection

from orchestrator.flows.context import Context
from orchestrator.flows.effects import commit
from orchestrator.store import journal, outbox
from orchestrator.store.engine import Tx
from orchestrator.store.outbox import Message


def resend(ctx: Context, ids: Collection[str], *, actor: str, why: str = "") -> list[Message]:
    """Have these sent again, tried for as long as new ones. Answers them as they were before."""

    def write(tx: Tx) -> list[Message]:
        before = outbox.again(tx, ids, ctx.clock())
        for message in before:
            journal.write(tx, "outbox.resent", message.account, actor, why, message=message.id, type=message.type,
                          channel=message.channel, before=message.state)
        return before

    return commit("outbox.resend", ctx.store, write)
