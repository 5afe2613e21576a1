"""What is told ahead of time: before data goes, before a contract ends. Written down when the end is known, and left
out when things have taken another turn by then."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from orchestrator.flows.callbacks import facts, text
from orchestrator.flows.context import Context
from orchestrator.flows.tell import tell
from orchestrator.lifecycle.account import USABLE, Account, State
from orchestrator.lifecycle.contract import OPEN_END
from orchestrator.store import accounts, outbox
from orchestrator.store.engine import Tx
from orchestrator.store.outbox import Message

GRACE_ENDS = "account.grace_ends"
CONTRACT_ENDING = "contract.ending"

GRACE_LEFT = 4
"""Told when a fourth of the grace is left."""
NOTICE = timedelta(days=7)
SHORT_TERM = 10
"""Of a contract shorter than ten weeks, the last tenth instead."""


def grace_ends(ctx: Context, tx: Tx, sender: str, account: Account) -> None:
    """Remind before the data goes. Nothing where there is no grace."""
    until = account.grace_until
    if until is None or not account.offer.grace:
        return
    tell(ctx, tx, sender, GRACE_ENDS, account.id, {**facts(account), "kept_until": text(until)},
         max(ctx.clock(), until - account.offer.grace / GRACE_LEFT))


def contract_ending(ctx: Context, tx: Tx, sender: str, account: Account) -> None:
    """Remind before the contract ends. Nothing for one that is open."""
    if account.ends_at is None or account.ends_at >= OPEN_END:
        return
    left = account.ends_at - ctx.clock()
    tell(ctx, tx, sender, CONTRACT_ENDING, account.id, facts(account), account.ends_at - min(NOTICE, left / SHORT_TERM))


@dataclass(frozen=True, slots=True)
class Overtaken:
    """Why a reminder is not given; `moved` is the account whose contract's end is another by now."""

    why: str
    moved: Account | None = None


def overtaken(tx: Tx, message: Message, now: datetime) -> Overtaken | None:
    """Whether things have taken another turn. None for a reminder that is to be given, and for any other message."""
    if message.type not in (GRACE_ENDS, CONTRACT_ENDING):
        return None
    account = accounts.get(tx, message.account)
    if account is None:
        return Overtaken("there is no such account")
    if message.type == GRACE_ENDS:
        going = account.state is State.FENCED and not account.convert_asked and not account.reclaim_asked
        same = text(account.grace_until) == message.data["kept_until"]
        return None if going and same else Overtaken("this grace is over")
    ended = account.state not in USABLE | {State.FENCED} or account.ends_at is None or account.ends_at <= now
    if ended or account.contract != message.data["contract"]:
        return Overtaken("the contract has ended")
    return None if text(account.ends_at) == message.data["ends_at"] else Overtaken("its end was moved", account)


def put_anew(tx: Tx, message: Message, moved: Account, now: datetime) -> None:
    """Give the reminder as long before the new end as it would have been given before the old one."""
    if moved.ends_at is None or moved.ends_at >= OPEN_END:
        return
    before = datetime.fromisoformat(message.data["ends_at"]) - message.at
    outbox.put(tx, message.sender, message.type, message.account, facts(moved), max(now, moved.ends_at - before),
               message.channel)
