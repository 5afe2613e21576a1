"""Holders: the only personal data. Sealed as a whole, referred to by a keyed hash, erased without touching accounts."""

import json
from dataclasses import asdict
from datetime import datetime

from sqlalchemy import select, update

from orchestrator.lifecycle.errors import RuleError
from orchestrator.lifecycle.holder import Holder, HolderKind
from orchestrator.store import tables
from orchestrator.store.engine import Tx
from orchestrator.store.errors import NotFound
from orchestrator.store.sql import keyring
from orchestrator.store.sql import put as put_row

_table = tables.holders


def ref(tx: Tx, sender: str, id: str) -> str:
    """What stands for a sender's holder outside this table."""
    return "h" + keyring(tx).mac("holder", f"{sender}\n{id}").hex()[:24]


def entity_ref(tx: Tx, code: str) -> str:
    """What stands for an entity, by its unified social credit code, wherever sums are kept."""
    return "e" + keyring(tx).mac("entity", code).hex()[:24]


def put(tx: Tx, sender: str, holder: Holder) -> str:
    """Keep what is known of a holder now; answers the reference for `accounts.add`.

    RuleError holder_changed: one id is one entity, as contracts, bills and caps of earlier accounts go by it.
    """
    found = ref(tx, sender, holder.id)
    known = get(tx, found)
    if known is not None and known.entity not in (None, holder.entity):
        raise RuleError("holder_changed", f"holder {holder.id!r} came with another unified social credit code before: "
                        "send that code with it, or a holder of another entity under an id of its own")
    sealed = keyring(tx).seal(json.dumps(asdict(holder)).encode(), _place(found))
    put_row(tx, _table, {"ref": found, "sender": sender, "sealed": sealed, "erased_at": None})
    return found


def get(tx: Tx, ref: str) -> Holder | None:
    """The holder, or None when it was erased or never known."""
    row = tx.execute(select(_table).where(_table.c.ref == ref)).first()
    if row is None or row.sealed is None:
        return None
    plain = json.loads(keyring(tx).unseal(row.sealed, _place(ref)))
    lists = {name: tuple(plain.get(name, ())) for name in ("categories", "attestations")}
    return Holder(**plain | lists | {"kind": HolderKind(plain["kind"])})


def erase(tx: Tx, sender: str, id: str, at: datetime) -> str:
    """Forget a holder by the sender's id; accounts and journal keep the reference, which says nothing. NotFound."""
    found = ref(tx, sender, id)
    if tx.execute(update(_table).where(_table.c.ref == found).values(sealed=None, erased_at=at)
                  .returning(_table.c.ref)).first() is None:
        raise NotFound(f"there is no holder {id!r} of sender {sender}")
    return found


def _place(ref: str) -> str:
    return f"holders/{ref}"
