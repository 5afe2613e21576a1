"""Programmes as applied, and grants: which programme a voucher is of, what it is worth, and who used it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import Row, bindparam, select, update

from orchestrator.lifecycle.holder import HolderKind
from orchestrator.lifecycle.periods import Period
from orchestrator.lifecycle.programme import Benefit, Limit, Programme, Where
from orchestrator.store import tables
from orchestrator.store.engine import Tx
from orchestrator.store.ledger import from_whole, to_whole
from orchestrator.store.plain import as_plain
from orchestrator.store.sql import insert_new
from orchestrator.store.sql import put as put_row

_programmes, _grants = tables.programmes, tables.grants
_GRANT = select(_grants).where(_grants.c.digest == bindparam("of"))


@dataclass(frozen=True, slots=True)
class Grant:
    """A voucher's part in a programme. `bound` is the one entrant who may redeem it; the rest is of its redemption."""

    digest: str
    programme: str
    worth: Decimal
    bound: str | None = None
    entity: str | None = None
    account: str | None = None
    entry: str | None = None
    priority: bool = False
    clock_started_at: datetime | None = None


def put(tx: Tx, programme: Programme) -> None:
    """Add it or replace it."""
    put_row(tx, _programmes, {"name": programme.name, "programme": as_plain(asdict(programme))})


def get(tx: Tx, name: str) -> Programme | None:
    """The programme as it stands now, or None."""
    plain = tx.execute(select(_programmes.c.programme).where(_programmes.c.name == name)).scalar()
    return None if plain is None else from_json(plain)


def list_(tx: Tx) -> list[Programme]:
    """All programmes by name."""
    return [from_json(row.programme) for row in tx.execute(select(_programmes).order_by(_programmes.c.name))]


def grant(tx: Tx, grant: Grant) -> bool:
    """A voucher's part in a programme; False when it has one."""
    return insert_new(tx, _grants, asdict(grant) | {"worth": to_whole(grant.worth)})


def granted(tx: Tx, digest: str) -> Grant | None:
    """The voucher's part, or None for a voucher of no programme."""
    row = tx.execute(_GRANT, {"of": digest}).first()
    return None if row is None else _grant(row)


def granted_to(tx: Tx, account: str) -> list[Grant]:
    """What the account was made for, or was credited with."""
    rows = tx.execute(select(_grants).where(_grants.c.account == account).order_by(_grants.c.digest))
    return [_grant(row) for row in rows]


def used(tx: Tx, digest: str, *, entity: str | None, account: str | None, entry: str | None, priority: bool) -> None:
    """Note who redeemed it and for which account; all None: given back."""
    tx.execute(update(_grants).where(_grants.c.digest == digest).values(
        entity=entity, account=account, entry=entry, priority=priority, clock_started_at=None))


def start_clock(tx: Tx, digest: str, at: datetime) -> None:
    """The first claim has started the clock."""
    tx.execute(update(_grants).where(_grants.c.digest == digest).values(clock_started_at=at))


def _grant(row: Row[Any]) -> Grant:
    return Grant(**dict(row._mapping) | {"worth": from_whole(row.worth)})


def from_json(plain: Mapping[str, Any]) -> Programme:
    """The programme back. Fields that a later version added take their defaults."""
    read: dict[str, Any] = {
        "benefit": Benefit, "where": Where, "least": Decimal, "most": Decimal, "share": Decimal, "categories": tuple,
        "priority": tuple, "attestations": tuple, "holders": lambda kinds: tuple(HolderKind(kind) for kind in kinds),
        "starts": datetime.fromisoformat, "ends": datetime.fromisoformat, "valid_for": _span, "grace": _span,
        "claim_within": _span, "begins_at": datetime.fromisoformat, "book_ahead": _span, "pool": _limit, "cap": _limit,
        "offered_weekly": Decimal, "use_within": _span, "outage_credit": _span,
        "warn_before": lambda spans: tuple(map(_span, spans))}
    return Programme(**{name: read[name](value) if name in read and value is not None else value
                        for name, value in plain.items()})


def _span(seconds: float) -> timedelta:
    return timedelta(seconds=seconds)


def _limit(plain: Mapping[str, Any]) -> Limit:
    return Limit(Period(plain["per"]), None if plain["amount"] is None else Decimal(plain["amount"]), plain["vouchers"])
