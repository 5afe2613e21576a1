"""What is told ahead of time: before data goes, before a contract ends. Written down when the end is known, and left
out when things have taken another turn by then."""

from datetime import datetime, timedelta

from orchestrator.flows.context import Context
from orchestrator.flows.messages.callbacks import facts, text
from orchestrator.flows.messages.tell import tell
from orchestrator.lifecycle.account import USABLE, Account, State
from orchestrator.lifecycle.contract import OPEN_END
from orchestrator.store import accounts, contracts, outbox
from orchestrator.store.engine import Tx
from orchestrator.store.outbox import Message

GRACE_ENDS = "account.grace_ends"
CONTRACT_ENDING = "contract.ending"

GRACE_LEFT = 4
"""Told when a fourth of the grace is left."""
NOTICE = timedelta(days=7)
SHORT_TERM = 10
"""Of a contract shorter than ten weeks, the last tenth instead."""
MOVED = "its end was moved"


def grace_ends(ctx: Context, tx: Tx, sender: str, account: Account) -> None:
    """Remind before the data goes. Nothing where there is no grace."""
    until = account.grace_until
    if until is None or not account.offer.grace:
        return
    tell(ctx, tx, sender, GRACE_ENDS, account.id, {**facts(account), "kept_until": text(until)},
         max(ctx.clock(), until - account.offer.grace / GRACE_LEFT))


def contract_ending(ctx: Context, tx: Tx, sender: str, account: Account) -> None:
    """Remind before the contract ends. It belongs in the transaction that gives it an end, each time: what still waits
    of another end is left out, and nothing is put for one that is open."""
    outbox.leave_out(tx, CONTRACT_ENDING, account.id, MOVED)
    contract = contracts.get(tx, account.id, account.contract or "")
    if contract is None or contract.begun_at is None or account.ends_at is None or account.ends_at >= OPEN_END:
        return
    notice = min(NOTICE, (account.ends_at - contract.begun_at) / SHORT_TERM)
    tell(ctx, tx, sender, CONTRACT_ENDING, account.id, facts(account), max(ctx.clock(), account.ends_at - notice))


def overtaken(tx: Tx, message: Message, now: datetime) -> str | None:
    """Why a reminder is not given: things have taken another turn. None for one that is to be given, and for any other
    message."""
    if message.type not in (GRACE_ENDS, CONTRACT_ENDING):
        return None
    account = accounts.get(tx, message.account)
    if account is None:
        return "there is no such account"
    if message.type == GRACE_ENDS:
        going = account.state is State.FENCED and not account.convert_asked and not account.reclaim_asked
        same = text(account.grace_until) == message.data["kept_until"]
        return None if going and same else "this grace is over"
    ended = account.state not in USABLE | {State.FENCED} or account.ends_at is None or account.ends_at <= now
    if ended or account.contract != message.data["contract"]:
        return "the contract has ended"
    return None if text(account.ends_at) == message.data["ends_at"] else MOVED
