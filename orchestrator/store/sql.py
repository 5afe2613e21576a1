"""Small helpers that SQLite and PostgreSQL share: insert-unless-there and insert-or-replace."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from orchestrator.store.seal import Keyring


def _insert(tx: Session, table: Table) -> sqlite.Insert | postgresql.Insert:
    return sqlite.insert(table) if tx.get_bind().dialect.name == "sqlite" else postgresql.insert(table)


def insert_new(tx: Session, table: Table, values: Mapping[str, Any]) -> bool:
    """Insert unless the key is there. On PostgreSQL it waits for a transaction that is inserting the same key."""
    statement = _insert(tx, table).values(**values).on_conflict_do_nothing().returning(*table.primary_key.columns)
    return tx.execute(statement).first() is not None


def put(tx: Session, table: Table, values: Mapping[str, Any]) -> None:
    """Insert, or replace the other columns of the row with this key."""
    key = [column.name for column in table.primary_key.columns]
    rest = {name: value for name, value in values.items() if name not in key}
    tx.execute(_insert(tx, table).values(**values).on_conflict_do_update(index_elements=key, set_=rest))


def storable(text: str, longest: int) -> str:
    """Text from outside as both databases can keep it: no NUL, no half characters, not endless."""
    return text[:longest].replace("\x00", "").encode("utf-8", "replace").decode("utf-8")


def keyring(tx: Session) -> Keyring:
    """The keyring that the store was opened with."""
    found = tx.info["keyring"]
    assert isinstance(found, Keyring)
    return found
