"""A database of an earlier revision, with the rows that were in it, is brought to this one and read."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.script import ScriptDirectory

from orchestrator.lifecycle.account import State
from orchestrator.lifecycle.bill import Terms
from orchestrator.lifecycle.programme import Benefit, Programme
from orchestrator.store import (
    accounts,
    certificates,
    contracts,
    draws,
    holding,
    journal,
    ledger,
    outbox,
    papers,
    price_lists,
    programmes,
    senders,
    tables,
)
from orchestrator.store.engine import Store
from orchestrator.store.instant import Instant
from orchestrator.store.migrate import config
from orchestrator.store.plain import as_plain
from orchestrator.store.seal import Keyring
from tests.store import postgres
from tests.store.conftest import BACKENDS

ROWS = Path(__file__).with_name("at_0002.json")
"""As 0002 left them: an account in its lease, one under contract, one reclaimed. Nothing sealed is in it."""


@pytest.fixture(params=BACKENDS)
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database without tables."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/before.db"
    url: str = request.getfixturevalue("postgres_url")
    postgres.run(url.format("postgres"), "DROP DATABASE IF EXISTS before")
    postgres.run(url.format("postgres"), "CREATE DATABASE before")
    return url.format("before")


@pytest.fixture
def upgraded(empty: str, keyring: Keyring) -> Iterator[Store]:
    store = _upgraded(empty, keyring)
    yield store
    store.close()


def _upgraded(empty: str, keyring: Keyring, **changed: Any) -> Store:
    """The database brought from 0002 to this revision; the account that was reclaimed has these fields instead."""
    store = Store(empty, keyring)
    engine = sa.create_engine(store.url)
    with engine.begin() as connection:
        command.upgrade(config(connection), "0002")
        for name, rows in json.loads(ROWS.read_text("utf-8")).items():
            table = tables.metadata.tables[name]
            for row in rows:
                other = changed if row.get("state") == "RECLAIMED" and name == "accounts" else {}
                connection.execute(table.insert().values(_typed(table, row | other)))
    engine.dispose()
    store.migrate()
    return store


def _typed(table: sa.Table, row: dict[str, Any]) -> dict[str, Any]:
    def read(name: str, value: Any) -> Any:
        match table.c[name].type:
            case Instant() if value is not None:
                return datetime.fromisoformat(f"{value}+00:00")
            case sa.LargeBinary() if value is not None:
                return bytes.fromhex(value)
            case _:
                return value

    return {name: read(name, value) for name, value in row.items()}


def test_revisions_are_one_chain() -> None:
    """Each comes after the one that its number says."""
    engine = sa.create_engine("sqlite://")
    with engine.connect() as connection:
        found = [(one.revision, one.down_revision) for one in ScriptDirectory.from_config(
            config(connection)).walk_revisions()][::-1]
    engine.dispose()
    assert found == [(f"{nth:04}", f"{nth - 1:04}" if nth > 1 else None) for nth in range(1, len(found) + 1)]


def test_accounts_are_as_they_were(upgraded: Store) -> None:
    """Nobody was booked; states, ends and contracts stay."""
    with upgraded.read() as tx:
        found = {one.account.state: one.account for one in accounts.select(tx, accounts.Filter())}
    assert set(found) == {State.ACTIVE, State.CONTRACTED, State.RECLAIMED}
    assert {one.begins_at for one in found.values()} == {None}
    assert found[State.CONTRACTED].contract is not None


def test_what_a_hold_keeps_is_known_from_when_its_grace_was_over(empty: str, keyring: Keyring) -> None:
    """Without waiting for anybody to touch it; nobody is held by everything."""
    store = _upgraded(empty, keyring, state="FENCED", site_hold=True)
    over = datetime(2027, 3, 5, 8, tzinfo=UTC)
    with store.read() as tx:
        assert holding.kept(tx, over - timedelta(seconds=1)) == []
        assert holding.kept(tx, over) == [holding.Kept("north", False, True, False, 1, over)]
        assert not holding.everything(tx)
    store.close()


def test_a_contract_in_force_has_its_beginning(upgraded: Store) -> None:
    """Since its account was converted, as the journal has it, so that its months can be billed by its paper's terms."""
    with upgraded.read() as tx:
        [record] = accounts.select(tx, accounts.Filter(state=State.CONTRACTED))
        [contract] = contracts.for_account(tx, record.id)
        paper = papers.get(tx, contract.id)
    assert (contract.begun_at, contract.ended_at) == (record.account.since - timedelta(seconds=1), None)
    assert paper is not None
    assert not any(rate.metered for rate in Terms.of(contract.id, paper.terms).rates)


def test_a_contract_that_is_over_has_both_its_ends(upgraded: Store) -> None:
    """From the journal and from its account's fence: its months can still be billed."""
    with upgraded.read() as tx:
        [record] = accounts.select(tx, accounts.Filter(state=State.RECLAIMED))
        [contract] = contracts.for_account(tx, record.id)
    assert (contract.begun_at, contract.ended_at) == (datetime(2027, 3, 1, 20, tzinfo=UTC), record.account.fenced_at)


def test_messages_are_callbacks(upgraded: Store) -> None:
    """What waits is still due, and no holder is written to about the past."""
    with upgraded.read() as tx:
        found = outbox.find(tx, outbox.Filter(unsent=True))
        assert len(found) == len(json.loads(ROWS.read_text("utf-8"))["outbox"])
        assert {(one.channel, one.state, one.resent_at) for one in found} == {(outbox.CALLBACK, "waiting", None)}
        assert [one.mail for one in senders.list_(tx)] == [True]


def test_programmes_and_sums_are_read(upgraded: Store) -> None:
    """What 0002 did not say of a programme or a price list is what its defaults say; sums still balance."""
    with upgraded.read() as tx:
        [programme], [prices] = programmes.list_(tx), price_lists.list_(tx)
        assert (programme.scheduled, programme.use_within, prices.metered) == (False, None, ())
        assert ledger.check(tx) == []
        assert ledger.balance(tx, "pool/wuxi-cash/2027/vouchers") == Decimal(-1)


def test_proof_is_kept(upgraded: Store) -> None:
    """The certificate of the reclaimed account and the journal's rows are there."""
    with upgraded.read() as tx:
        [gone] = accounts.select(tx, accounts.Filter(state=State.RECLAIMED))
        assert certificates.get(tx, gone.id) is not None
        assert [row.action for row in journal.list_(tx, subject=gone.id)] == [
            "account.converted", "account.usable"]


def test_a_clock_that_a_claim_starts_runs_as_before(empty: str, keyring: Keyring) -> None:
    """0009 looked it up in the programme: redeemed vouchers keep what it says now, those not redeemed get it later. Of
    a draw that nobody passed on, nothing is passed on by itself."""
    store, at = Store(empty, keyring), datetime(2026, 3, 1, tzinfo=UTC)
    engine = sa.create_engine(store.url)
    with engine.begin() as connection:
        command.upgrade(config(connection), "0009")
        old = Programme("week", Benefit.TRIAL, "周", "week", offer="trial", claim_within=timedelta(days=2))
        connection.execute(tables.programmes.insert().values(name="week", programme=as_plain(asdict(old))))
        for digest, account in (("redeemed", "a234567abc"), ("issued", None)):
            connection.execute(sa.text("INSERT INTO grants (digest, programme, worth, account, priority) VALUES "
                                       "(:digest, 'week', 24000000, :account, false)"),
                               {"digest": digest, "account": account})
        connection.execute(tables.senders.insert().values(id="s-1", name="portal", trusts="codes", secret=b"",
                                                          added_at=at))
        for name, state, claim_by in (("past", "drawn", at), ("open", "open", None)):
            connection.execute(tables.draws.insert().values(name=name, programme="week", sender="s-1", closes_at=at,
                                                            prizes=["24"], state=state, claim_by=claim_by))
    engine.dispose()
    store.migrate()
    with store.read() as tx:
        found = {digest: programmes.granted(tx, digest) for digest in ("redeemed", "issued")}
        assert [one and one.claim_within for one in found.values()] == [timedelta(days=2), None]
        assert {one.name: one.state for one in draws.list_(tx)} == {"past": "over", "open": "open"}
    store.close()
