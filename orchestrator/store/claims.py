"""Claims: the first public key that claims an account is its only one. Nothing here is secret."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import delete, select, update

from orchestrator.store import tables
from orchestrator.store.engine import Tx
from orchestrator.store.errors import KeyTaken
from orchestrator.store.sql import insert_new

_table = tables.claims


@dataclass(frozen=True, slots=True)
class Claim:
    """The holder's key and the credential last minted for it, as plain JSON."""

    account: str
    fingerprint: str
    public_key: str
    credential: Mapping[str, Any]
    at: datetime


def get(tx: Tx, account: str) -> Claim | None:
    """The account's claim, or None."""
    row = tx.execute(select(_table).where(_table.c.account == account)).first()
    return None if row is None else Claim(row.account, row.fingerprint, row.public_key, row.credential, row.at)


def put(tx: Tx, claim: Claim) -> None:
    """Keep the claim; the same key again brings its credential up to date. KeyTaken for another key."""
    if insert_new(tx, _table, {"account": claim.account, "fingerprint": claim.fingerprint,
                               "public_key": claim.public_key, "credential": dict(claim.credential), "at": claim.at}):
        return
    if tx.execute(update(_table).where(_table.c.account == claim.account, _table.c.fingerprint == claim.fingerprint)
                  .values(credential=dict(claim.credential), at=claim.at).returning(_table.c.account)).first() is None:
        raise KeyTaken(f"account {claim.account} was claimed with another public key")


def drop(tx: Tx, account: str, fingerprint: str) -> None:
    """Let go of a key that turned out to be of no use at the account's site; one that got a credential stays."""
    known = get(tx, account)
    if known is not None and known.fingerprint == fingerprint and not known.credential:
        tx.execute(delete(_table).where(_table.c.account == account, _table.c.fingerprint == fingerprint))
