"""Senders and the secrets that they sign with (Standard Webhooks, `whsec_…`), sealed; two are valid in an overlap."""

import base64
import secrets as random
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from sqlalchemy import Row, bindparam, select, update
from sqlalchemy.exc import IntegrityError

from orchestrator.store import tables
from orchestrator.store.engine import Tx
from orchestrator.store.errors import Conflict, NotFound
from orchestrator.store.sql import keyring

_table = tables.senders
_MAIL = select(_table.c.mail).where(_table.c.id == bindparam("of"))

Trusts = Literal["codes", "payload"]
"""Whether Tenure knows the codes, or the sender's payload carries hours, offer and validity."""


@dataclass(frozen=True, slots=True)
class Sender:
    """A voucher platform. Its secrets are asked for separately."""

    id: str
    name: str
    trusts: Trusts
    callback_url: str | None
    added_at: datetime
    mail: bool = True
    """Whether its holders get mail from us, where a mail server is set up."""


def add(tx: Tx, name: str, trusts: Trusts, callback_url: str | None, at: datetime) -> tuple[Sender, str]:
    """A new sender and its secret, which is told this once. Conflict when the name is taken."""
    sender = Sender("s" + base64.b32encode(random.token_bytes(10)).decode("ascii").lower()[:9], name, trusts,
                    callback_url, at)
    secret = _new_secret()
    try:
        with tx.begin_nested():
            tx.execute(_table.insert().values(
                id=sender.id, name=name, trusts=trusts, callback_url=callback_url, added_at=at,
                secret=keyring(tx).seal(secret.encode(), _place(sender.id))))
    except IntegrityError as error:
        raise Conflict(f"there is a sender {name!r} already; do: tenure sender rotate {name}") from error
    return sender, secret


def rotate(tx: Tx, id: str, now: datetime, overlap: timedelta) -> str:
    """A new secret, told this once; the one before stays valid for the overlap."""
    row = tx.execute(select(_table).where(_table.c.id == id).with_for_update()).first()
    if row is None:
        raise NotFound(f"there is no sender {id!r}")
    secret = _new_secret()
    tx.execute(update(_table).where(_table.c.id == id).values(
        previous=row.secret, previous_until=now + overlap, secret=keyring(tx).seal(secret.encode(), _place(id))))
    return secret


def get(tx: Tx, id_or_name: str) -> Sender | None:
    """The sender, or None."""
    row = tx.execute(select(_table).where((_table.c.id == id_or_name) | (_table.c.name == id_or_name))).first()
    return None if row is None else _sender(row)


def set_callback(tx: Tx, id: str, callback_url: str | None) -> None:
    """Where its callbacks go from now on."""
    tx.execute(update(_table).where(_table.c.id == id).values(callback_url=callback_url))


def set_mail(tx: Tx, id: str, mail: bool) -> None:
    """Whether its holders get mail from us from now on."""
    tx.execute(update(_table).where(_table.c.id == id).values(mail=mail))


def wants_mail(tx: Tx, id: str) -> bool:
    """Whether its holders get mail from us."""
    return bool(tx.execute(_MAIL, {"of": id}).scalar())


def list_(tx: Tx) -> list[Sender]:
    """All senders by name."""
    return [_sender(row) for row in tx.execute(select(_table).order_by(_table.c.name))]


def secrets(tx: Tx, sender: str, now: datetime) -> list[str]:
    """The secrets valid now, the current one first. NotFound."""
    row = tx.execute(select(_table).where(_table.c.id == sender)).first()
    if row is None:
        raise NotFound(f"there is no sender {sender!r}")
    valid = [row.secret]
    if row.previous is not None and row.previous_until > now:
        valid.append(row.previous)
    return [keyring(tx).unseal(sealed, _place(sender)).decode() for sealed in valid]


def _new_secret() -> str:
    return "whsec_" + base64.b64encode(random.token_bytes(32)).decode("ascii")


def _place(id: str) -> str:
    return f"senders/{id}"


def _sender(row: Row[Any]) -> Sender:
    return Sender(row.id, row.name, row.trusts, row.callback_url, row.added_at, row.mail)
