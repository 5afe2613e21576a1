"""Subsidies as decided: one for each payment, with what showed it."""

from dataclasses import asdict, dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Row, select

from orchestrator.store import tables
from orchestrator.store.engine import Tx
from orchestrator.store.ledger import from_whole, to_whole
from orchestrator.store.sql import insert_new

_table = tables.subsidies


@dataclass(frozen=True, slots=True)
class Subsidy:
    """`payment` is the payment's own reference, `entity` what stands for the entity in the sums, `at` the payment's
    time. `evidence` has hashes, references and what was attested."""

    payment: str
    programme: str
    entity: str
    paid: Decimal
    amount: Decimal
    evidence: dict[str, Any]
    at: datetime


def add(tx: Tx, subsidy: Subsidy) -> bool:
    """Keep it; False when the payment has one already."""
    return insert_new(tx, _table, asdict(subsidy) | {"paid": to_whole(subsidy.paid),
                                                     "amount": to_whole(subsidy.amount)})


def get(tx: Tx, payment: str) -> Subsidy | None:
    """What was decided on a payment, or None."""
    row = tx.execute(select(_table).where(_table.c.payment == payment)).first()
    return None if row is None else _subsidy(row)


def list_(tx: Tx, programme: str | None = None) -> list[Subsidy]:
    """All of them by the payment's time."""
    query = select(_table).order_by(_table.c.at, _table.c.payment)
    if programme is not None:
        query = query.where(_table.c.programme == programme)
    return [_subsidy(row) for row in tx.execute(query)]


def _subsidy(row: Row[Any]) -> Subsidy:
    return Subsidy(**dict(row._mapping) | {"paid": from_whole(row.paid), "amount": from_whole(row.amount)})
