"""Clean-exit certificates: the exact bytes that were signed, and the detached signature."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from orchestrator.store import tables
from orchestrator.store.engine import Tx
from orchestrator.store.sql import insert_new

_table = tables.certificates


@dataclass(frozen=True, slots=True)
class Certificate:
    """`signature` is over exactly the bytes of `document`."""

    account: str
    document: bytes
    signature: bytes
    at: datetime


def put(tx: Tx, certificate: Certificate) -> bool:
    """Keep it for ever. False when the account has one already, which stays."""
    return insert_new(tx, _table, {"account": certificate.account, "document": certificate.document,
                                   "signature": certificate.signature, "at": certificate.at})


def get(tx: Tx, account: str) -> Certificate | None:
    """The account's certificate, or None."""
    row = tx.execute(select(_table).where(_table.c.account == account)).first()
    return None if row is None else Certificate(row.account, row.document, row.signature, row.at)
