"""Tenure's own private keys (what signs certificates), sealed, by name."""

from sqlalchemy import select

from orchestrator.store import tables
from orchestrator.store.engine import Tx
from orchestrator.store.sql import insert_new, keyring


def put_new(tx: Tx, name: str, key: bytes) -> bytes:
    """Keep the key unless there is one by this name; answers the one that holds. Safe at once."""
    insert_new(tx, tables.keys, {"name": name, "sealed": keyring(tx).seal(key, _place(name))})
    held = get(tx, name)
    assert held is not None
    return held


def get(tx: Tx, name: str) -> bytes | None:
    """The key in the clear, or None. WrongKey."""
    sealed = tx.execute(select(tables.keys.c.sealed).where(tables.keys.c.name == name)).scalar()
    return None if sealed is None else keyring(tx).unseal(sealed, _place(name))


def _place(name: str) -> str:
    return f"keys/{name}"
