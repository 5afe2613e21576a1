"""Draws and their entries. What is published of a draw is kept as it was published."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Row, select, update

from orchestrator.store import tables
from orchestrator.store.engine import Tx
from orchestrator.store.ledger import from_whole, to_whole
from orchestrator.store.sql import insert_new

_draws, _entries = tables.draws, tables.draw_entries


@dataclass(frozen=True, slots=True)
class DrawRow:
    """`state`: open, committed (the list is fixed), drawn, over (what was not redeemed is passed on no more)."""

    name: str
    programme: str
    sender: str
    closes_at: datetime
    prizes: tuple[Decimal, ...]
    state: str = "open"
    published: dict[str, Any] | None = None
    claim_by: datetime | None = None


@dataclass(frozen=True, slots=True)
class EntryRow:
    """`voucher` is the digest of what it won, `prize` its worth; a prize that was passed on is None again."""

    draw: str
    entrant: str
    holder: str
    priority: bool
    at: datetime
    voucher: str | None = None
    prize: Decimal | None = None


def add(tx: Tx, draw: DrawRow) -> bool:
    """A new draw; False when its name is taken."""
    return insert_new(tx, _draws, {
        "name": draw.name, "programme": draw.programme, "sender": draw.sender, "closes_at": draw.closes_at,
        "prizes": [str(prize) for prize in draw.prizes], "state": draw.state})


def get(tx: Tx, name: str, *, lock: bool = False) -> DrawRow | None:
    """The draw, or None. With `lock` nobody else moves it on until this transaction ends."""
    query = select(_draws).where(_draws.c.name == name)
    row = tx.execute(query.with_for_update() if lock else query).first()
    return None if row is None else _draw(row)


def list_(tx: Tx) -> list[DrawRow]:
    """All draws, the one that closes last first."""
    return [_draw(row) for row in tx.execute(select(_draws).order_by(_draws.c.closes_at.desc(), _draws.c.name))]


def unclaimed(tx: Tx, now: datetime) -> list[str]:
    """Names of those drawn whose winners have had their time, the first first."""
    return list(tx.execute(select(_draws.c.name).where(_draws.c.state == "drawn", _draws.c.claim_by <= now)
                           .order_by(_draws.c.claim_by, _draws.c.name)).scalars())


def save(tx: Tx, name: str, state: str, published: dict[str, Any], claim_by: datetime | None = None) -> None:
    """Move it on."""
    tx.execute(update(_draws).where(_draws.c.name == name).values(state=state, published=published, claim_by=claim_by))


def enter(tx: Tx, entry: EntryRow) -> bool:
    """A new entry; False when the entrant is in already."""
    return insert_new(tx, _entries, {"draw": entry.draw, "entrant": entry.entrant, "holder": entry.holder,
                                     "priority": entry.priority, "at": entry.at})


def entries(tx: Tx, draw: str) -> list[EntryRow]:
    """All entries by entrant."""
    rows = tx.execute(select(_entries).where(_entries.c.draw == draw).order_by(_entries.c.entrant))
    return [EntryRow(**dict(row._mapping) | {"prize": None if row.prize is None else from_whole(row.prize)})
            for row in rows]


def award(tx: Tx, draw: str, entrant: str, voucher: str, prize: Decimal | None) -> None:
    """What an entrant won; a prize of None is passed on to another."""
    tx.execute(update(_entries).where(_entries.c.draw == draw, _entries.c.entrant == entrant).values(
        voucher=voucher, prize=None if prize is None else to_whole(prize)))


def _draw(row: Row[Any]) -> DrawRow:
    return DrawRow(row.name, row.programme, row.sender, row.closes_at, tuple(Decimal(one) for one in row.prizes),
                   row.state, row.published, row.claim_by)
