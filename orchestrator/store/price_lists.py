"""Price lists as applied."""

from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import select

from orchestrator.lifecycle.price import Prices
from orchestrator.store import tables
from orchestrator.store.engine import Tx
from orchestrator.store.sql import put as put_row

_table = tables.prices


def put(tx: Tx, prices: Prices) -> None:
    """Add it or replace it; a contract keeps the price that it was drafted with."""
    put_row(tx, _table, {"name": prices.name, "prices": {
        "cpu": str(prices.cpu), "memory": str(prices.memory), "storage": str(prices.storage),
        "chips": _text(prices.chips), "classes": _text(prices.classes),
        "long_term": [[least.total_seconds(), str(discount)] for least, discount in prices.long_term],
        "metered": list(prices.metered)}})


def get(tx: Tx, name: str) -> Prices | None:
    """The price list, or None."""
    plain = tx.execute(select(_table.c.prices).where(_table.c.name == name)).scalar()
    return None if plain is None else _prices(name, plain)


def list_(tx: Tx) -> list[Prices]:
    """All price lists by name."""
    return [_prices(row.name, row.prices) for row in tx.execute(select(_table).order_by(_table.c.name))]


def _text(amounts: Mapping[str, Decimal]) -> dict[str, str]:
    return {name: str(amount) for name, amount in amounts.items()}


def _prices(name: str, plain: Mapping[str, Any]) -> Prices:
    return Prices(name, Decimal(plain["cpu"]), Decimal(plain["memory"]), Decimal(plain["storage"]),
                  {chip: Decimal(each) for chip, each in plain["chips"].items()},
                  {one: Decimal(discount) for one, discount in plain["classes"].items()},
                  tuple((timedelta(seconds=least), Decimal(discount)) for least, discount in plain["long_term"]),
                  tuple(plain.get("metered", ())))
