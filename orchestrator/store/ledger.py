"""Sums as double-entry rows: each entry's lines come to nothing, a balance is what its lines come to, and a line
that would overdraw its balance takes the whole transaction back.

Amounts are kept as whole millionths, so that yuan and hours are exact in both databases.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from sqlalchemy import and_, bindparam, func, or_, select, update

from orchestrator.store import tables
from orchestrator.store.engine import Tx
from orchestrator.store.sql import insert_new

MILLION = 1_000_000
BACK = "/back"
"""How the name of an entry's opposite ends."""

_NO_BOUND = 2**62
_balances, _postings = tables.balances, tables.postings
_after = _balances.c.amount + bindparam("by")
_MOVE = update(_balances).where(and_(
    _balances.c.account == bindparam("of"), _after >= bindparam("least"), _after <= bindparam("most"),
)).values(amount=_after).returning(_balances.c.amount)


@dataclass(frozen=True, slots=True)
class Line:
    """So much to (or, negative, from) one ledger account, whose balance stays within the bounds."""

    account: str
    unit: str
    amount: Decimal
    least: Decimal | None = None
    most: Decimal | None = None


class Overdrawn(Exception):
    """The line would leave its bounds; `balance` is what there is. The transaction has to be given up."""

    def __init__(self, line: Line, balance: Decimal) -> None:
        super().__init__(f"{line.account}: {balance} and {line.amount} leave {line.least} to {line.most}")
        self.line, self.balance = line, balance


def to_whole(amount: Decimal) -> int:
    """Millionths; finer ones are refused."""
    whole = amount * MILLION
    if whole != whole.to_integral_value():
        raise ValueError(f"{amount} is finer than a millionth")
    return int(whole)


def from_whole(amount: int) -> Decimal:
    """The amount back."""
    return Decimal(amount) / MILLION


def post(tx: Tx, entry: str, lines: Sequence[Line], at: datetime, why: str) -> bool:
    """Write an entry, once: False when it is there already. Raises Overdrawn; ValueError for lines that do not
    come to nothing."""
    for unit in {line.unit for line in lines}:
        if sum(line.amount for line in lines if line.unit == unit):
            raise ValueError(f"entry {entry}: its lines in {unit} do not come to nothing")
    # In one order for all, so that two entries never wait for each other.
    for number, line in enumerate(sorted(lines, key=lambda line: line.account)):
        new = insert_new(tx, _postings, {"entry": entry, "line": number, "account": line.account, "unit": line.unit,
                                         "amount": to_whole(line.amount), "at": at, "why": why})
        if not new:
            return False
        insert_new(tx, _balances, {"account": line.account, "unit": line.unit, "amount": 0})
        _move(tx, line)
    return True


def _move(tx: Tx, line: Line) -> None:
    least = -_NO_BOUND if line.least is None else to_whole(line.least)
    most = _NO_BOUND if line.most is None else to_whole(line.most)
    moved = tx.execute(_MOVE, {"of": line.account, "by": to_whole(line.amount), "least": least, "most": most}).first()
    if moved is None:
        raise Overdrawn(line, balance(tx, line.account))


def reverse(tx: Tx, entry: str, at: datetime, why: str) -> bool:
    """Write the entry's opposite, once."""
    rows = tx.execute(select(_postings).where(_postings.c.entry == entry).order_by(_postings.c.line)).all()
    opposite = [Line(row.account, row.unit, -from_whole(row.amount)) for row in rows]
    return bool(rows) and post(tx, f"{entry}{BACK}", opposite, at, why)


def balance(tx: Tx, account: str) -> Decimal:
    """What the account has; nothing when it was never posted to."""
    found = tx.execute(select(_balances.c.amount).where(_balances.c.account == account)).scalar()
    return from_whole(found or 0)


def credits_of(tx: Tx, account: str) -> dict[str, Decimal]:
    """What is left of the vouchers of one of Tenure's accounts, by unit."""
    name = f"credit/{account}/"
    rows = tx.execute(select(_balances).where(_balances.c.account.startswith(name, autoescape=True))
                      .order_by(_balances.c.account))
    return {row.unit: from_whole(row.amount) for row in rows}


def lines_of(tx: Tx, account: str) -> list[tuple[str, Decimal, datetime, str]]:
    """An account's lines, oldest first: entry, amount, when, why."""
    rows = tx.execute(select(_postings).where(_postings.c.account == account).order_by(_postings.c.at,
                                                                                      _postings.c.entry))
    return [(row.entry, from_whole(row.amount), row.at, row.why) for row in rows]


@dataclass(frozen=True, slots=True)
class Posted:
    """A line as it was written."""

    entry: str
    account: str
    unit: str
    amount: Decimal
    at: datetime


def posted(tx: Tx, *kinds: str) -> list[Posted]:
    """All lines of entries of these kinds (`redeem`, `subsidy`), the reversals among them, by entry."""
    rows = tx.execute(select(_postings).where(or_(*(
        _postings.c.entry.startswith(f"{kind}/", autoescape=True) for kind in kinds)))
        .order_by(_postings.c.entry, _postings.c.line))
    return [Posted(row.entry, row.account, row.unit, from_whole(row.amount), row.at) for row in rows]


def taken_of_credits(tx: Tx) -> dict[str, Decimal]:
    """What bills and meters took so far from each `credit/…` account; what was given back is not taken."""
    rows = tx.execute(select(_postings.c.account, func.sum(_postings.c.amount)).where(
        _postings.c.account.startswith("credit/"), _postings.c.entry.not_like(f"%{BACK}"),
        _postings.c.amount < 0).group_by(_postings.c.account))
    return {account: -from_whole(int(amount)) for account, amount in rows}


def check(tx: Tx) -> list[str]:
    """Replay every line: what does not come to nothing, and every balance that its lines do not come to."""
    entries: dict[tuple[str, str], int] = {}
    sums: dict[str, int] = {}
    for row in tx.execute(select(_postings)):
        entries[row.entry, row.unit] = entries.get((row.entry, row.unit), 0) + row.amount
        sums[row.account] = sums.get(row.account, 0) + row.amount
    found = [f"entry {entry}: {unit} comes to {from_whole(rest)}" for (entry, unit), rest in sorted(entries.items())
             if rest]
    kept = {row.account: row.amount for row in tx.execute(select(_balances))}
    return found + [f"account {name}: balance {from_whole(kept.get(name, 0))}, lines {from_whole(sums.get(name, 0))}"
                    for name in sorted(sums.keys() | kept.keys()) if sums.get(name, 0) != kept.get(name, 0)]
