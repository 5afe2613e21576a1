"""Small helpers that SQLite and PostgreSQL share: insert-unless-there and insert-or-replace.

Statements of the busiest paths are built once, here and elsewhere: building one costs as much as running it.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any

from sqlalchemy import Executable, Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from orchestrator.store.seal import Keyring


def _insert(dialect: str, table: Table) -> sqlite.Insert | postgresql.Insert:
    return sqlite.insert(table) if dialect == "sqlite" else postgresql.insert(table)


@cache
def _insert_new(dialect: str, table: Table) -> Executable:
    return _insert(dialect, table).on_conflict_do_nothing().returning(*table.primary_key.columns)


@cache
def _put(dialect: str, table: Table, names: tuple[str, ...]) -> Executable:
    key = [column.name for column in table.primary_key.columns]
    statement = _insert(dialect, table)
    rest = {name: statement.excluded[name] for name in names if name not in key}
    return statement.on_conflict_do_update(index_elements=key, set_=rest)


def insert_new(tx: Session, table: Table, values: Mapping[str, Any]) -> bool:
    """Insert unless the key is there. On PostgreSQL it waits for a transaction that is inserting the same key."""
    return tx.execute(_insert_new(tx.get_bind().dialect.name, table), dict(values)).first() is not None


def put(tx: Session, table: Table, values: Mapping[str, Any]) -> None:
    """Insert, or replace the other columns of the row with this key."""
    tx.execute(_put(tx.get_bind().dialect.name, table, tuple(values)), dict(values))


def storable(text: str, longest: int) -> str:
    """Text from outside as both databases can keep it: no NUL, no half characters, not endless."""
    return text[:longest].replace("\x00", "").encode("utf-8", "replace").decode("utf-8")


def keyring(tx: Session) -> Keyring:
    """The keyring that the store was opened with."""
    found = tx.info["keyring"]
    assert isinstance(found, Keyring)
    return found
