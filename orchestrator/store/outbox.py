"""Callbacks to senders: written in the transaction of what they tell, delivered later, for days if need be."""

import base64
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Row, func, select, update

from orchestrator.store import tables
from orchestrator.store.engine import Tx
from orchestrator.store.errors import Conflict
from orchestrator.store.sql import storable

_table = tables.outbox
_INSERT = _table.insert()


@dataclass(frozen=True, slots=True)
class Message:
    """One callback. `id` is its webhook-id, the same at every try."""

    id: str
    sender: str
    type: str
    account: str
    data: Mapping[str, Any]
    at: datetime
    due_at: datetime | None
    """None once it was sent or given up."""
    attempts: int
    """Tries before this one."""
    error: str | None
    sent_at: datetime | None


def put(tx: Tx, sender: str, type: str, account: str, data: Mapping[str, Any], at: datetime | None = None) -> str:
    """Something to tell a sender. Answers the message's id. `data` holds ids and times, never names or mail."""
    at = at or datetime.now(UTC)
    id = "msg_" + base64.b32encode(secrets.token_bytes(15)).decode("ascii").lower()
    tx.execute(_INSERT, {"id": id, "sender": sender, "type": type, "account": account, "data": dict(data), "at": at,
                         "due_at": at, "attempts": 0})
    return id


def claim_due(tx: Tx, now: datetime, worker: str, limit: int, lease: timedelta,
              per_sender: int | None = None) -> list[Message]:
    """Take up to `limit` messages that are due, at most `per_sender` of each sender; due again when the lease ends."""
    due = _table.c.due_at <= now
    query = select(_table.c.id).where(due).order_by(_table.c.due_at, _table.c.id).limit(limit)
    if per_sender is not None:
        nth = func.row_number().over(partition_by=_table.c.sender, order_by=(_table.c.due_at, _table.c.id))
        ranked = select(_table.c.id, _table.c.due_at, nth.label("nth")).where(due).subquery()
        query = (select(ranked.c.id).where(ranked.c.nth <= per_sender)
                 .order_by(ranked.c.due_at, ranked.c.id).limit(limit))
    ids = tx.execute(query).scalars().all()
    if not ids:
        return []
    rows = tx.execute(select(_table).where(_table.c.id.in_(ids), due).order_by(_table.c.at, _table.c.id)
                      .with_for_update(skip_locked=True)).all()
    tx.execute(update(_table).where(_table.c.id.in_([row.id for row in rows])).values(
        due_at=now + lease, worker=worker, attempts=_table.c.attempts + 1))
    return [_message(row) for row in rows]


def sent(tx: Tx, id: str, at: datetime | None = None) -> None:
    """The sender has it."""
    tx.execute(update(_table).where(_table.c.id == id).values(
        sent_at=at or datetime.now(UTC), due_at=None, error=None, worker=None))


def later(tx: Tx, id: str, at: datetime | None, error: str) -> None:
    """It did not get through; try again at `at`, or never (None). Conflict when it was sent meanwhile."""
    found = tx.execute(update(_table).where(_table.c.id == id, _table.c.sent_at.is_(None)).values(
        due_at=at, error=storable(error, 500), worker=None).returning(_table.c.id)).first()
    if found is None:
        raise Conflict(f"message {id} was sent meanwhile")


def next_wake(tx: Tx) -> datetime | None:
    """When the next message is due."""
    return tx.execute(select(func.min(_table.c.due_at))).scalar()


def list_(tx: Tx, *, sender: str | None = None, account: str | None = None, unsent: bool = False,
          limit: int = 100) -> list[Message]:
    """Messages, newest first."""
    query = select(_table).order_by(_table.c.at.desc(), _table.c.id).limit(limit)
    if sender is not None:
        query = query.where(_table.c.sender == sender)
    if account is not None:
        query = query.where(_table.c.account == account)
    if unsent:
        query = query.where(_table.c.sent_at.is_(None))
    return [_message(row) for row in tx.execute(query)]


def _message(row: Row[Any]) -> Message:
    return Message(row.id, row.sender, row.type, row.account, row.data, row.at, row.due_at, row.attempts, row.error,
                   row.sent_at)
