"""Tenure's own private keys (what signs certificates), sealed, by name; and sealing all anew after a rotation."""

from sqlalchemy import Table, select, update

from orchestrator.store import tables
from orchestrator.store.engine import Tx
from orchestrator.store.sql import insert_new, keyring

_SEALED: tuple[tuple[Table, str, str, str], ...] = (
    (tables.senders, "id", "secret", "senders/{}"),
    (tables.senders, "id", "previous", "senders/{}"),
    (tables.sites, "name", "secrets", "sites/{}"),
    (tables.holders, "ref", "sealed", "holders/{}"),
)
"""Every sealed column: its table, key, name, and the place that it is sealed for. `keys` itself comes beside."""


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


def reseal(tx: Tx) -> int:
    """Seal everything with the newest key; the older ones may be retired afterwards. Answers how many changed."""
    changed = 0
    for table, key, column, place in (*_SEALED, (tables.keys, "name", "sealed", "")):
        found = tx.execute(select(table.c[key], table.c[column]).where(table.c[column].is_not(None))
                           .with_for_update()).all()
        for name, sealed in found:
            if keyring(tx).is_newest(sealed):
                continue
            where = place.format(name) if place else _place(name)
            fresh = keyring(tx).seal(keyring(tx).unseal(sealed, where), where)
            tx.execute(update(table).where(table.c[key] == name).values({column: fresh}))
            changed += 1
    return changed


def _place(name: str) -> str:
    return "canary" if name == "canary" else f"keys/{name}"
