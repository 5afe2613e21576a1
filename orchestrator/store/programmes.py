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
_TERMS = ("claim_within", "use_within")
_GRANT = select(_grants).where(_grants.c.digest == bindparam("of"))


@dataclass(frozen=True, slots=True)
class Grant:
    """A voucher's part in a programme. `bound` is the one entrant who may redeem it; the rest is of its redemption.

    `claim_within` and `use_within` are the programme's own of that moment: what it says later is for later ones.
    """

    digest: str
    programme: str
    worth: Decimal
    bound: str | None = None
    entity: str | None = None
    account: str | None = None
    entry: str | None = None
    priority: bool = False
    clock_started_at: datetime | None = None
    claim_within: timedelta | None = None
    use_within: timedelta | None = None


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
    return insert_new(tx, _grants, asdict(grant) | {
        "worth": to_whole(grant.worth)} | {name: _seconds(getattr(grant, name)) for name in _TERMS})


def granted(tx: Tx, digest: str) -> Grant | None:
    """The voucher's part, or None for a voucher of no programme."""
    row = tx.execute(_GRANT, {"of": digest}).first()
    return None if row is None else _grant(row)


def by_entry(tx: Tx) -> dict[str, str]:
    """The digest of the voucher that each entry in the sums was redeemed with; what was given back has none."""
    rows = tx.execute(select(_grants.c.entry, _grants.c.digest).where(_grants.c.entry.is_not(None)))
    return {row.entry: row.digest for row in rows}


def granted_to(tx: Tx, account: str) -> list[Grant]:
    """What the account was made for, or was credited with."""
    rows = tx.execute(select(_grants).where(_grants.c.account == account).order_by(_grants.c.digest))
    return [_grant(row) for row in rows]


def used(tx: Tx, digest: str, *, entity: str | None, account: str | None, entry: str | None, priority: bool,
         claim_within: timedelta | None = None, use_within: timedelta | None = None) -> None:
    """Note who redeemed it, for which account and by which clock; all None: given back."""
    tx.execute(update(_grants).where(_grants.c.digest == digest).values(
        entity=entity, account=account, entry=entry, priority=priority, clock_started_at=None,
        claim_within=_seconds(claim_within), use_within=_seconds(use_within)))


def start_clock(tx: Tx, digest: str, at: datetime) -> None:
    """The first claim has started the clock."""
    tx.execute(update(_grants).where(_grants.c.digest == digest).values(clock_started_at=at))


def given(tx: Tx, name: str) -> bool:
    """Whether there is a voucher of the programme, or a draw of some."""
    return any(tx.execute(select(table.c.programme).where(table.c.programme == name).limit(1)).first() is not None
               for table in (_grants, tables.draws))


def _grant(row: Row[Any]) -> Grant:
    spans = {name: None if row._mapping[name] is None else _span(row._mapping[name]) for name in _TERMS}
    return Grant(**dict(row._mapping) | {"worth": from_whole(row.worth)} | spans)


def _seconds(span: timedelta | None) -> int | None:
    return None if span is None else int(span.total_seconds())


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
