"""Accepted events, remembered for ever: what makes a repetition answer the same years later."""

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, bindparam, select

from orchestrator.store import tables
from orchestrator.store.engine import Tx
from orchestrator.store.sql import insert_new

_table = tables.redemptions
_FIND = select(_table).where(_table.c.sender == bindparam("of_sender"), _table.c.id == bindparam("event"))


@dataclass(frozen=True, slots=True)
class Redemption:
    """`id` is the event's id, unique to its sender. `voucher` is a digest; None for an event of another kind."""

    id: str
    sender: str
    body_hash: str
    voucher: str | None
    account: str
    at: datetime


def find(tx: Tx, sender: str, event: str) -> Redemption | None:
    """What was accepted under this event id."""
    return _one(tx.execute(_FIND, {"of_sender": sender, "event": event}).first())


def remember(tx: Tx, redemption: Redemption) -> bool:
    """Remember it. False when its id is taken: `find` then tells by what. The first of many at once wins."""
    return insert_new(tx, _table, asdict(redemption))


def by_account(tx: Tx, account: str) -> Redemption | None:
    """The redemption that an account was made for."""
    return _one(tx.execute(select(_table).where(_table.c.account == account, _table.c.voucher.is_not(None))).first())


def _one(row: Row[Any] | None) -> Redemption | None:
    return None if row is None else Redemption(**row._mapping)
