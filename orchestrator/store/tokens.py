"""Operators' tokens: told once, kept as a keyed hash."""

import base64
import hmac
import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Row, select, update

from orchestrator.store import tables
from orchestrator.store.engine import Tx
from orchestrator.store.errors import NotFound
from orchestrator.store.sql import keyring

_table = tables.tokens
Role = Literal["viewer", "operator", "admin", "sender"]


@dataclass(frozen=True, slots=True)
class Token:
    """Who a caller is. A sender's token sees that sender's accounts only."""

    id: str
    name: str
    role: Role
    sender: str | None
    made_at: datetime
    revoked_at: datetime | None


def make(tx: Tx, role: Role, name: str, at: datetime, sender: str | None = None) -> str:
    """A new token, told this once. ValueError unless exactly the role `sender` names a sender."""
    if (role == "sender") != (sender is not None):
        raise ValueError("a token of the role 'sender', and no other, belongs to a sender")
    id = base64.b32encode(secrets.token_bytes(5)).decode("ascii").lower()
    plain = f"tenure_{id}_{secrets.token_urlsafe(32)}"
    tx.execute(_table.insert().values(id=id, name=name, role=role, sender=sender, made_at=at,
                                      digest=keyring(tx).mac("token", plain).hex()))
    return plain


def check(tx: Tx, plain: str) -> Token | None:
    """Whose token it is; None when it is unknown, malformed or revoked."""
    parts = plain.split("_", 2)
    if len(parts) != 3 or parts[0] != "tenure" or not plain.isascii() or len(plain) > 200:
        return None
    row = tx.execute(select(_table).where(_table.c.id == parts[1])).first()
    if row is None or row.revoked_at is not None:
        return None
    return _token(row) if hmac.compare_digest(row.digest, keyring(tx).mac("token", plain).hex()) else None


def revoke(tx: Tx, id: str, at: datetime) -> None:
    """It opens nothing any more. NotFound."""
    if tx.execute(update(_table).where(_table.c.id == id).values(revoked_at=at).returning(_table.c.id)).first() is None:
        raise NotFound(f"there is no token {id!r}: `tenure token list` shows those there are")


def list_(tx: Tx) -> list[Token]:
    """All tokens, without what they are."""
    return [_token(row) for row in tx.execute(select(_table).order_by(_table.c.made_at, _table.c.id))]


def _token(row: Row[Any]) -> Token:
    return Token(row.id, row.name, row.role, row.sender, row.made_at, row.revoked_at)
