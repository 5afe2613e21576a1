"""Contracts of accounts. A contract's id is its sender's and is unique within the account."""

from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import Row, select, update

from orchestrator.lifecycle.account import Account
from orchestrator.lifecycle.contract import Contract, ContractState
from orchestrator.store import tables
from orchestrator.store.engine import Tx
from orchestrator.store.errors import Conflict, NotFound
from orchestrator.store.sql import insert_new

_table = tables.contracts


def add(tx: Tx, contract: Contract) -> None:
    """A new contract; the same one again is success, another under its id is Conflict."""
    if insert_new(tx, _table, asdict(contract) | {"state": contract.state.value}):
        return
    there = get(tx, contract.account, contract.id)
    if there is None or (there.offer, there.ends_at, there.document) != (
            contract.offer, contract.ends_at, contract.document):
        raise Conflict(f"account {contract.account}: contract {contract.id} is there already and says otherwise")


def get(tx: Tx, account: str, id: str) -> Contract | None:
    """The contract, or None."""
    row = tx.execute(select(_table).where(_table.c.account == account, _table.c.id == id)).first()
    return None if row is None else _contract(row)


def for_account(tx: Tx, account: str) -> list[Contract]:
    """All contracts of an account by id."""
    return [_contract(row) for row in tx.execute(select(_table).where(_table.c.account == account)
                                                 .order_by(_table.c.id))]


def save(tx: Tx, contract: Contract) -> None:
    """Write its state. NotFound."""
    if tx.execute(update(_table).where(_table.c.account == contract.account, _table.c.id == contract.id)
                  .values(state=contract.state.value, ends_at=contract.ends_at, begun_at=contract.begun_at,
                          ended_at=contract.ended_at).returning(_table.c.id)).first() is None:
        raise NotFound(f"account {contract.account}: there is no contract {contract.id!r}")


def end(tx: Tx, account: Account, now: datetime) -> None:
    """The account was fenced at its end, or is gone: its contract in force is over. Done already: nothing changes."""
    known = get(tx, account.id, account.contract) if account.contract else None
    if known is not None and known.state is ContractState.ACTIVE:
        save(tx, known.end(account, now))


def _contract(row: Row[Any]) -> Contract:
    return Contract(**dict(row._mapping) | {"state": ContractState(row.state)})
