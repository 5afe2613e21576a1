"""The journal: what was decided and done, by ids only, chained by one sealer in commit order.

The chain is keyed, so it cannot be rebuilt without the key file; its last link is also kept in a file outside the
database, so it cannot be rebuilt with the key file alone either.
"""

import base64
import json
import os
import re
import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Row, bindparam, func, select, text, update

from orchestrator.store import tables
from orchestrator.store.engine import Store, Tx
from orchestrator.store.errors import StoreError
from orchestrator.store.seal import Keyring
from orchestrator.store.sql import storable

_table = tables.journal
_INSERT = _table.insert()
_MAIL = re.compile(r"[^\s<>@,;:]{1,64}@[^\s<>@,;:]{1,255}")
_LONGEST = 2000
"""Characters kept of a reason or of a text among the facts."""
_PERSONAL = frozenset({"name", "email", "mail", "holder", "holder_name", "phone", "voucher_code", "code", "secret"})
_BATCH = 1000
_START = "0" * 64
Fact = str | int | float | bool | None | datetime | list[str]


class JournalBroken(StoreError):
    """The journal is not as it was sealed. Nothing is sealed on top of it."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One row. `position` is None until it is sealed."""

    id: str
    at: datetime
    action: str
    subject: str
    actor: str
    why: str
    facts: dict[str, Any]
    position: int | None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What `verify` found. `unsealed` rows are newer than the last seal and are vouched for by nothing yet."""

    sealed: int
    unsealed: int
    problems: list[str] = field(default_factory=list)
    missing: bool = False
    """The checkpoint is: what is there agrees with itself as far as `problems` are empty, and with nothing outside."""

    @property
    def ok(self) -> bool:
        return not self.problems and not self.missing


def write(tx: Tx, action: str, subject: str, actor: str, why: str = "", *, at: datetime | None = None,
          **facts: Fact) -> None:
    """Write a row in this transaction. Subjects and facts are ids, times, counts; mail addresses are blotted out."""
    if personal := _PERSONAL & facts.keys():
        raise ValueError(f"journal: {', '.join(sorted(personal))} may hold personal data and cannot be a fact")
    plain = {name: _plain(value) for name, value in facts.items()}
    tx.execute(_INSERT, {
        "id": base64.b32encode(secrets.token_bytes(15)).decode("ascii").lower(), "at": at or datetime.now(UTC),
        "action": action, "subject": _blot(subject), "actor": _blot(actor), "why": _blot(why),
        "facts": _canonical(plain)})


def list_(tx: Tx, *, subject: str | None = None, limit: int = 100) -> list[Entry]:
    """Rows, newest first."""
    query = select(_table).order_by(_table.c.at.desc(), _table.c.id).limit(limit)
    if subject is not None:
        query = query.where(_table.c.subject == subject)
    return [Entry(row.id, row.at, row.action, row.subject, row.actor, row.why, json.loads(row.facts), row.position)
            for row in tx.execute(query)]


def seal(store: Store, checkpoint: Path) -> int:
    """Chain the rows committed since the last seal and note the last link in the checkpoint file. Answers how many.

    Safe at once in several processes. JournalBroken when the journal lags the checkpoint: it is never overwritten then.
    """
    with store.write() as tx:
        if not store.is_sqlite:
            tx.execute(text("SELECT pg_advisory_xact_lock(7300418)"))
        if problem := _against(tx, _read(checkpoint)):
            raise JournalBroken(problem)
        position, chain = _last(tx)
        rows = tx.execute(select(_table).where(_table.c.position.is_(None))
                          .order_by(_table.c.at, _table.c.id).limit(_BATCH)).all()
        links = []
        for row in rows:
            position, chain = position + 1, link(store.keyring, position + 1, chain, row)
            links.append({"row": row.id, "position": position, "chain": chain})
        if links:
            tx.connection().execute(update(_table).where(_table.c.id == bindparam("row")), links)
    if position:
        _note(checkpoint, position, chain)
    return len(rows)


def verify(store: Store, checkpoint: Path) -> Verdict:
    """Compute the whole chain again and hold it against the checkpoint outside the database."""
    problems: list[str] = []
    position, chain = 0, _START
    with store.read() as tx:
        rows = tx.execute(select(_table).where(_table.c.position.is_not(None)).order_by(_table.c.position)
                          .execution_options(yield_per=_BATCH))
        for row in rows:
            expected = position + 1
            if row.position != expected:
                problems.append(f"journal: row {expected} is missing")
            elif row.chain != link(store.keyring, expected, chain, row):
                problems.append(f"journal: row {expected} ({row.action} {row.subject}) is not as it was sealed")
            position, chain = row.position, row.chain
        unsealed = tx.execute(select(func.count()).select_from(_table).where(_table.c.position.is_(None))).scalar_one()
        noted = _read(checkpoint)
        if problem := _against(tx, noted):
            problems.append(problem)
    return Verdict(position, unsealed, problems, missing=noted is None and position > 0)


def link(keys: Keyring, position: int, before: str, row: Row[Any]) -> str:
    """The chain's value at a row: a keyed hash of its place, the value before it and all that the row says."""
    said = [position, before, row.id, row.at.isoformat(), row.action, row.subject, row.actor, row.why, row.facts]
    return keys.mac("journal", _canonical(said)).hex()


def _last(tx: Tx) -> tuple[int, str]:
    row = tx.execute(select(_table.c.position, _table.c.chain).where(_table.c.position.is_not(None))
                     .order_by(_table.c.position.desc()).limit(1)).first()
    return (0, _START) if row is None else (row.position, row.chain)


def _against(tx: Tx, noted: tuple[int, str] | None) -> str | None:
    if noted is None:
        return None
    position, chain = noted
    found = tx.execute(select(_table.c.chain).where(_table.c.position == position)).scalar()
    if found is None:
        return f"journal: it is cut before row {position}, which the checkpoint knows"
    if found != chain:
        return f"journal: row {position} is not the one that the checkpoint knows: the chain was rebuilt"
    return None


def _read(checkpoint: Path) -> tuple[int, str] | None:
    try:
        noted = json.loads(checkpoint.read_text(encoding="ascii"))
        return int(noted["position"]), str(noted["chain"])
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise JournalBroken(f"journal: checkpoint {checkpoint} cannot be read: {error}") from error


def _note(checkpoint: Path, position: int, chain: str) -> None:
    """Replace the checkpoint in one step, never by an older one."""
    noted = _read(checkpoint)
    if noted is not None and noted[0] >= position:
        return
    fresh = checkpoint.with_name(f"{checkpoint.name}.{os.getpid()}.{secrets.token_hex(4)}")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
        json.dump({"position": position, "chain": chain}, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(fresh, checkpoint)


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def _plain(value: Fact) -> Fact:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if isinstance(value, list):
        return [_blot(item) for item in value]
    return _blot(value) if isinstance(value, str) else value


def _blot(text_: str) -> str:
    return _MAIL.sub("[mail]", storable(text_, _LONGEST))
