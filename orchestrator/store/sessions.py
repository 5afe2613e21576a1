"""Browsers that are signed in: a random id in their cookie, its keyed hash here. A session ends with its token."""

import base64
import hmac
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, and_, delete, or_, select, update

from orchestrator.store import tables
from orchestrator.store.engine import Tx
from orchestrator.store.errors import NotFound
from orchestrator.store.sql import keyring
from orchestrator.store.tokens import Role, Token

_table = tables.sessions
_tokens = tables.tokens
SEEN_EVERY = timedelta(minutes=1)
"""A session's use is written down no more often than this."""


@dataclass(frozen=True, slots=True)
class Session:
    """Who is signed in. `token` is the id of the token that was pasted; None when an OpenID provider vouched."""

    id: str
    actor: str
    role: Role
    token: str | None
    made_at: datetime
    seen_at: datetime
    ends_at: datetime


def open_(tx: Tx, actor: str, role: Role, at: datetime, ends_at: datetime, token: Token | None = None
          ) -> tuple[Session, str]:
    """A new session, and what its cookie holds: told this once. ValueError for a sender's token."""
    if role == "sender":
        raise ValueError("a sender's token reads the API; it opens no session")
    id = base64.b32encode(secrets.token_bytes(5)).decode("ascii").lower()
    plain = f"{id}.{secrets.token_urlsafe(32)}"
    made = Session(id, actor, role, token.id if token else None, at, at, ends_at)
    tx.execute(_table.insert().values(
        id=id, digest=_digest(tx, plain), token=made.token, actor=actor, role=role, made_at=at, seen_at=at,
        ends_at=ends_at))
    return made, plain


def check(tx: Tx, plain: str, now: datetime, idle: timedelta) -> Session | None:
    """Whose cookie it is; None when it is unknown, over, unused for `idle`, or its token was revoked."""
    id, dot, _ = plain.partition(".")
    if not dot or not plain.isascii() or len(plain) > 200:
        return None
    query = (select(_table, _tokens.c.revoked_at).outerjoin(_tokens, _tokens.c.id == _table.c.token)
             .where(_table.c.id == id))
    row = tx.execute(query).first()
    if row is None or not hmac.compare_digest(row.digest, _digest(tx, plain)):
        return None
    if row.revoked_at is not None or row.ends_at <= now or row.seen_at + idle <= now:
        return None
    return _session(row)


def seen(tx: Tx, id: str, at: datetime) -> None:
    """It was used. One that is gone stays gone, and no use is taken back."""
    tx.execute(update(_table).where(_table.c.id == id, _table.c.seen_at < at).values(seen_at=at))


def close(tx: Tx, id: str) -> Session:
    """It opens nothing any more. NotFound."""
    row = tx.execute(delete(_table).where(_table.c.id == id).returning(*_table.c)).first()
    if row is None:
        raise NotFound(f"there is no session {id!r}: `tenure session list` shows those there are")
    return _session(row)


def expire(tx: Tx, now: datetime, idle: timedelta) -> int:
    """Forget the sessions that open nothing any more. Answers how many."""
    revoked = select(_tokens.c.id).where(_tokens.c.revoked_at.is_not(None))
    over = or_(_table.c.ends_at <= now, _table.c.seen_at <= now - idle,
               and_(_table.c.token.is_not(None), _table.c.token.in_(revoked)))
    return len(tx.execute(delete(_table).where(over).returning(_table.c.id)).all())


def list_(tx: Tx) -> list[Session]:
    """All that are remembered, without what opens them."""
    return [_session(row) for row in tx.execute(select(_table).order_by(_table.c.made_at, _table.c.id))]


def _digest(tx: Tx, plain: str) -> str:
    return keyring(tx).mac("session", plain).hex()


def _session(row: Row[Any]) -> Session:
    return Session(row.id, row.actor, row.role, row.token, row.made_at, row.seen_at, row.ends_at)
