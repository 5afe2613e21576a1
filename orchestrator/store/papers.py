"""Contracts' papers. The document names its holder, so it is sealed; its hash is not."""

from dataclasses import fields
from typing import Any

from sqlalchemy import Row, select, update

from orchestrator.lifecycle.paper import Paper, PaperState
from orchestrator.store import tables
from orchestrator.store.engine import Tx
from orchestrator.store.sql import insert_new, keyring

_table = tables.papers
_PLAIN = tuple(one.name for one in fields(Paper))
_OPEN = (PaperState.WISHED.value, PaperState.DRAFT.value)


def add(tx: Tx, paper: Paper, document: bytes | None = None) -> bool:
    """A new paper; False when its id is taken."""
    return insert_new(tx, _table, _columns(paper) | {"document": _sealed(tx, paper.id, document)})


def get(tx: Tx, id: str, *, lock: bool = False) -> Paper | None:
    """The paper, or None."""
    query = select(_table).where(_table.c.id == id)
    row = tx.execute(query.with_for_update() if lock else query).first()
    return None if row is None else _paper(row)


def document(tx: Tx, id: str) -> bytes | None:
    """The document itself, or None when there is none."""
    sealed = tx.execute(select(_table.c.document).where(_table.c.id == id)).scalar()
    return None if sealed is None else keyring(tx).unseal(sealed, f"papers/{id}")


def save(tx: Tx, paper: Paper) -> None:
    """Write what may change of it."""
    tx.execute(update(_table).where(_table.c.id == paper.id).values(
        state=paper.state.value, digest=paper.digest, signed_at=paper.signed_at, signed_by=paper.signed_by))


def list_(tx: Tx, *, account: str | None = None, open_only: bool = False) -> list[Paper]:
    """Papers, the newest first."""
    query = select(_table).order_by(_table.c.made_at.desc(), _table.c.id)
    if account is not None:
        query = query.where(_table.c.account == account)
    if open_only:
        query = query.where(_table.c.state.in_(_OPEN))
    return [_paper(row) for row in tx.execute(query)]


def _sealed(tx: Tx, id: str, document: bytes | None) -> bytes | None:
    return None if document is None else keyring(tx).seal(document, f"papers/{id}")


def _columns(paper: Paper) -> dict[str, Any]:
    return {name: getattr(paper, name) for name in _PLAIN} | {"state": paper.state.value}


def _paper(row: Row[Any]) -> Paper:
    found = row._mapping
    return Paper(**{name: found[name] for name in _PLAIN} | {"state": PaperState(found["state"])})
