"""Closed bills. What is kept is the whole bill, so that it stays as it is whatever becomes of prices and meters."""

from collections.abc import Mapping
from dataclasses import asdict, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Row, select

from orchestrator.lifecycle.bill import Bill, Line, Part, Rule
from orchestrator.store import tables
from orchestrator.store.engine import Tx
from orchestrator.store.plain import as_plain
from orchestrator.store.sql import insert_new

_table = tables.bills


def add(tx: Tx, bill: Bill, at: datetime) -> bool:
    """Keep it; False when the month is closed already."""
    return insert_new(tx, _table, {"account": bill.account, "month": bill.month, "bill": as_plain(asdict(bill)),
                                   "closed_at": at})


def get(tx: Tx, account: str, month: str) -> Bill | None:
    """The closed bill, or None."""
    row = tx.execute(select(_table).where(_table.c.account == account, _table.c.month == month)).first()
    return None if row is None else _bill(row)


def list_(tx: Tx, account: str | None = None) -> list[Bill]:
    """Closed bills by month."""
    query = select(_table).order_by(_table.c.month, _table.c.account)
    if account is not None:
        query = query.where(_table.c.account == account)
    return [_bill(row) for row in tx.execute(query)]


def _bill(row: Row[Any]) -> Bill:
    return replace(from_json(row.bill), closed_at=row.closed_at)


def from_json(plain: Mapping[str, Any]) -> Bill:
    """The bill back."""
    return Bill(plain["account"], plain["month"], _instant(plain["since"]), _instant(plain["until"]), plain["whole"],
                tuple(_part(one) for one in plain["parts"]), tuple(_line(one) for one in plain["vouchers"]),
                unpriced=tuple(plain.get("unpriced", ())))


def _part(plain: Mapping[str, Any]) -> Part:
    return Part(plain["contract"], _instant(plain["since"]), _instant(plain["until"]), plain["seconds"],
                plain["credited"], Decimal(plain["base"]), Decimal(plain["price"]),
                tuple(_line(one) for one in plain["lines"]),
                {name: Decimal(amount) for name, amount in plain["amounts"].items()},
                {name: tuple(gaps) for name, gaps in plain["gaps"].items()})


def _line(plain: Mapping[str, Any]) -> Line:
    return Line(plain["contract"], Rule(plain["rule"]), plain["what"], plain["figure"], Decimal(plain["amount"]),
                _decimal(plain["quantity"]), _decimal(plain["per_hour"]), plain["measured"], tuple(plain["rows"]))


def _decimal(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text)
