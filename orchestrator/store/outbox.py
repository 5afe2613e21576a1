"""What is to be told: written in the transaction of what it tells, delivered later, for days if need be.

Two channels: signed callbacks to senders, mail to holders. A row has ids and times, never a name, an address or a link.
"""

import base64
import secrets
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from sqlalchemy import ColumnElement, Row, delete, func, or_, select, tuple_, update

from orchestrator.store import tables
from orchestrator.store.engine import Tx
from orchestrator.store.errors import Conflict
from orchestrator.store.sql import storable

_table = tables.outbox
_INSERT = _table.insert()

Channel = Literal["callback", "mail"]
CALLBACK: Channel = "callback"
MAIL: Channel = "mail"


@dataclass(frozen=True, slots=True)
class Message:
    """One message. `id` is its webhook-id or names it in its Message-ID: the same at every try."""

    id: str
    channel: Channel
    sender: str
    type: str
    account: str
    data: Mapping[str, Any]
    at: datetime
    """When it happened, or when it is to be told."""
    due_at: datetime | None
    """None once it was sent or given up."""
    attempts: int
    """Tries before this one."""
    error: str | None
    sent_at: datetime | None
    resent_at: datetime | None
    """When an operator had it sent again."""

    @property
    def since(self) -> datetime:
        """Since when it is being tried."""
        return max(self.at, self.resent_at) if self.resent_at is not None else self.at

    @property
    def state(self) -> str:
        """sent, waiting, or given up (the error says why)."""
        if self.sent_at is not None:
            return "sent"
        return "waiting" if self.due_at is not None else "given up"


@dataclass(frozen=True, slots=True)
class Filter:
    """Which messages; what is left out does not matter."""

    ids: Collection[str] | None = None
    sender: str | None = None
    account: str | None = None
    channel: Channel | None = None
    type: str | None = None
    unsent: bool = False
    given_up: bool = False


def put(tx: Tx, sender: str, type: str, account: str, data: Mapping[str, Any], at: datetime | None = None,
        channel: Channel = CALLBACK) -> str:
    """Something to tell at `at`, not before. Answers the message's id. `data` holds ids and times, no name, no mail."""
    at = at or datetime.now(UTC)
    id = _new_id()
    tx.execute(_INSERT, {"id": id, "channel": channel, "sender": sender, "type": type, "account": account,
                         "data": dict(data), "at": at, "due_at": at, "attempts": 0})
    return id


def _new_id() -> str:
    """Ids sort as they were made: what happened in one instant is listed in its order."""
    return "msg_" + base64.b32hexencode(time.time_ns().to_bytes(8) + secrets.token_bytes(7)).decode("ascii").lower()


def due(tx: Tx, now: datetime, limit: int, per_lane: int, full: Collection[tuple[Channel, str]] = ()) -> list[str]:
    """Ids of up to `limit` messages that are due, at most `per_lane` of a sender's in one channel, none of those that
    are `full`. Each sender's first comes before anybody's second: however much waits for those that are away, nobody
    else waits for it. For a read: with tens of thousands due it takes long, and writers must not wait for it."""
    nth = func.row_number().over(partition_by=(_table.c.channel, _table.c.sender),
                                 order_by=(_table.c.due_at, _table.c.id))
    ranked = select(_table.c.id, _table.c.due_at, nth.label("nth")).where(
        _table.c.due_at <= now, tuple_(_table.c.channel, _table.c.sender).not_in(list(full))).subquery()
    return list(tx.execute(select(ranked.c.id).where(ranked.c.nth <= per_lane)
                           .order_by(ranked.c.nth, ranked.c.due_at, ranked.c.id).limit(limit)).scalars())


def claim(tx: Tx, ids: Collection[str], now: datetime, worker: str, lease: timedelta) -> list[Message]:
    """Take those of these that are due still; due again when the lease ends, as their `due_at` says."""
    rows = tx.execute(select(_table).where(_table.c.id.in_(list(ids)), _table.c.due_at <= now)
                      .order_by(_table.c.at, _table.c.id).with_for_update(skip_locked=True)).all()
    tx.execute(update(_table).where(_table.c.id.in_([row.id for row in rows])).values(
        due_at=now + lease, worker=worker, attempts=_table.c.attempts + 1))
    return [replace(_message(row), due_at=now + lease) for row in rows]


def give_back(tx: Tx, claimed: Collection[Message], at: datetime) -> None:
    """These were claimed and not tried: they are due at `at`, what was said of an earlier try stays. One whose claim is
    over is somebody else's by now, and left alone."""
    for message in claimed:
        tx.execute(update(_table).where(
            _table.c.id == message.id, _table.c.due_at == message.due_at, _table.c.sent_at.is_(None),
        ).values(due_at=at, worker=None, attempts=message.attempts,
                 error=func.coalesce(_table.c.error, "waits for earlier ones")))


def sent(tx: Tx, id: str, at: datetime | None = None) -> None:
    """Whoever it was for has it."""
    tx.execute(update(_table).where(_table.c.id == id).values(
        sent_at=at or datetime.now(UTC), due_at=None, error=None, worker=None))


def later(tx: Tx, id: str, at: datetime | None, error: str) -> None:
    """It did not get through; try again at `at`, or never (None). Conflict when it was sent meanwhile."""
    found = tx.execute(update(_table).where(_table.c.id == id, _table.c.sent_at.is_(None)).values(
        due_at=at, error=storable(error, 500), worker=None).returning(_table.c.id)).first()
    if found is None:
        raise Conflict(f"message {id} was sent meanwhile")


def leave_out(tx: Tx, type: str, account: str, why: str) -> None:
    """What of this type waits about the account is never sent: something else takes its place."""
    tx.execute(update(_table).where(_table.c.account == account, _table.c.type == type, _table.c.due_at.is_not(None))
               .values(due_at=None, error=storable(why, 500), worker=None))


def again(tx: Tx, ids: Collection[str], now: datetime) -> list[Message]:
    """Send these once more, under the same ids, with as much time as new ones. Answers them as they were."""
    rows = tx.execute(select(_table).where(_table.c.id.in_(list(ids))).order_by(_table.c.at, _table.c.id)
                      .with_for_update()).all()
    tx.execute(update(_table).where(_table.c.id.in_([row.id for row in rows])).values(
        due_at=now, resent_at=now, sent_at=None, error=None, worker=None))
    return [_message(row) for row in rows]


def forget(tx: Tx, before: datetime, limit: int) -> int:
    """Remove up to `limit` messages of before then that were sent, or given up, and not sent again since: never one
    that is still owed. Answers how many."""
    over = (_table.c.due_at.is_(None), _table.c.at < before, *(
        or_(column.is_(None), column < before) for column in (_table.c.sent_at, _table.c.resent_at)))
    ids = tx.execute(select(_table.c.id).where(*over).order_by(_table.c.at, _table.c.id).limit(limit)
                     .with_for_update(skip_locked=True)).scalars().all()
    if ids:
        tx.execute(delete(_table).where(_table.c.id.in_(ids)))
    return len(ids)


def next_wake(tx: Tx) -> datetime | None:
    """When the next message is due."""
    return tx.execute(select(func.min(_table.c.due_at))).scalar()


def get(tx: Tx, id: str) -> Message | None:
    """The message, or None."""
    row = tx.execute(select(_table).where(_table.c.id == id)).first()
    return None if row is None else _message(row)


def find(tx: Tx, which: Filter, limit: int = 100) -> list[Message]:
    """Messages, newest first."""
    return [_message(row) for row in tx.execute(
        select(_table).where(*_conditions(which)).order_by(_table.c.at.desc(), _table.c.id.desc()).limit(limit))]


def _conditions(which: Filter) -> list[ColumnElement[bool]]:
    found = [column == value for column, value in (
        (_table.c.sender, which.sender), (_table.c.account, which.account), (_table.c.channel, which.channel),
        (_table.c.type, which.type)) if value is not None]
    if which.ids is not None:
        found.append(_table.c.id.in_(list(which.ids)))
    if which.unsent or which.given_up:
        found.append(_table.c.sent_at.is_(None))
    if which.given_up:
        found.append(_table.c.due_at.is_(None))
    return found


def _message(row: Row[Any]) -> Message:
    return Message(row.id, row.channel, row.sender, row.type, row.account, row.data, row.at, row.due_at, row.attempts,
                   row.error, row.sent_at, row.resent_at)
