"""The journal is chained in commit order and held against a checkpoint outside the database."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import delete, select, update

from orchestrator.store import journal, tables
from orchestrator.store.engine import Store, Tx
from orchestrator.store.journal import JournalBroken
from tests.store.making import NOW, World, number, seconds

_table = tables.journal


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    return tmp_path / "checkpoint"


@pytest.fixture
def sealed(world: World, checkpoint: Path) -> World:
    """Ten rows, sealed."""
    for nth in range(10):
        write(world, nth)
    journal.seal(world.store, checkpoint)
    return world


def write(world: World, nth: int) -> None:
    with world.store.write() as tx:
        journal.write(tx, "account.fenced", number(nth), "sweep", at=NOW + seconds(nth), generation=nth, end=NOW)


def rebuild(world: World) -> None:
    """What somebody with the key file and the database could do: compute the whole chain anew."""
    with world.store.write() as tx:
        rows = tx.execute(select(_table).order_by(_table.c.position)).all()
        tx.execute(update(_table).values(position=None, chain=None))
        chain = "0" * 64
        for position, row in enumerate(rows, 1):
            chain = journal.link(world.store.keyring, position, chain, row)
            tx.execute(update(_table).where(_table.c.id == row.id).values(position=position, chain=chain))


def test_an_untouched_journal_verifies(sealed: World, checkpoint: Path) -> None:
    """Ten rows sealed, none in doubt."""
    verdict = journal.verify(sealed.store, checkpoint)
    assert (verdict.ok, verdict.sealed, verdict.unsealed) == (True, 10, 0)


def test_an_empty_journal_verifies(world: World, checkpoint: Path) -> None:
    """Nothing written, nothing to doubt."""
    assert journal.seal(world.store, checkpoint) == 0
    assert journal.verify(world.store, checkpoint).ok


def test_a_growing_journal_verifies(sealed: World, checkpoint: Path) -> None:
    """Rows sealed later go on from the last link."""
    write(sealed, 11)
    assert journal.verify(sealed.store, checkpoint).unsealed == 1
    assert journal.seal(sealed.store, checkpoint) == 1
    assert journal.verify(sealed.store, checkpoint).ok


def edit(tx: Tx) -> None:
    tx.execute(update(_table).where(_table.c.position == 5).values(actor="somebody else"))


def edit_time(tx: Tx) -> None:
    tx.execute(update(_table).where(_table.c.position == 5).values(at=NOW))


def remove(tx: Tx) -> None:
    tx.execute(delete(_table).where(_table.c.position == 5))


def cut(tx: Tx) -> None:
    tx.execute(delete(_table).where(_table.c.position > 7))


def cut_all(tx: Tx) -> None:
    tx.execute(delete(_table))


def swap(tx: Tx) -> None:
    tx.execute(update(_table).where(_table.c.position == 5).values(position=99))
    tx.execute(update(_table).where(_table.c.position == 6).values(position=5))
    tx.execute(update(_table).where(_table.c.position == 99).values(position=6))


def unseal(tx: Tx) -> None:
    tx.execute(update(_table).where(_table.c.position > 7).values(position=None, chain=None))


@pytest.mark.parametrize("spoil", [edit, edit_time, remove, cut, cut_all, swap, unseal])
def test_tampering_is_noticed(sealed: World, checkpoint: Path, spoil: Callable[[Tx], None]) -> None:
    """A row edited, deleted or moved, the tail cut or taken back: verify says so."""
    with sealed.store.write() as tx:
        spoil(tx)
    assert not journal.verify(sealed.store, checkpoint).ok


@pytest.mark.parametrize("spoil", [edit, remove, cut, lambda tx: None], ids=["edit", "delete", "cut", "none"])
def test_a_rebuilt_chain_fails_against_the_checkpoint(sealed: World, checkpoint: Path,
                                                      spoil: Callable[[Tx], None]) -> None:
    """Tampered with and chained anew with the right key, it is consistent in itself, and refuted from outside."""
    with sealed.store.write() as tx:
        spoil(tx)
    rebuild(sealed)
    changed = spoil in (edit, remove, cut)
    assert journal.verify(sealed.store, checkpoint).ok is not changed


def test_a_missing_checkpoint_is_noticed(sealed: World, checkpoint: Path) -> None:
    """Without anything outside to hold it against, a sealed journal is not vouched for."""
    checkpoint.unlink()
    assert not journal.verify(sealed.store, checkpoint).ok


def test_nothing_is_sealed_on_a_cut_journal(sealed: World, checkpoint: Path) -> None:
    """The sealer does not paper over what the checkpoint still knows."""
    with sealed.store.write() as tx:
        cut(tx)
    write(sealed, 11)
    with pytest.raises(JournalBroken):
        journal.seal(sealed.store, checkpoint)
    assert not journal.verify(sealed.store, checkpoint).ok


def test_a_spoilt_checkpoint_is_refused(sealed: World, checkpoint: Path) -> None:
    """A file that cannot be read vouches for nothing."""
    checkpoint.write_text("{")
    with pytest.raises(JournalBroken):
        journal.verify(sealed.store, checkpoint)


def test_sealers_at_once_make_one_chain(world: World, checkpoint: Path) -> None:
    """Writers and sealers all at once: every row is in the chain once."""
    def work(nth: int) -> None:
        write(world, nth)
        journal.seal(world.store, checkpoint)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(60)))
    verdict = journal.verify(world.store, checkpoint)
    assert (verdict.ok, verdict.sealed, verdict.unsealed) == (True, 60, 0)


def test_a_rolled_back_row_is_not_there(world: World) -> None:
    """The journal says only what was committed."""
    def undone() -> None:
        with world.store.write() as tx:
            journal.write(tx, "account.failed", number(0), "sweep")
            raise KeyError("undone")

    with pytest.raises(KeyError):
        undone()
    with world.store.read() as tx:
        assert journal.list_(tx) == []


def test_mail_addresses_are_blotted_out(world: World) -> None:
    """An error text or reason with an address in it loses the address."""
    with world.store.write() as tx:
        journal.write(tx, "hold", number(0), "token:ops", why="asked by li@example.cn", error="no such user <a.b@c.cn>")
    with world.store.read() as tx:
        entry, = journal.list_(tx, subject=number(0))
    assert "@" not in entry.why + str(entry.facts)


@pytest.mark.parametrize("said", ["a\x00b", "\ud800", "x" * 100_000, "é" * 5000])
def test_whatever_an_error_says_is_kept(world: World, checkpoint: Path, said: str) -> None:
    """Texts from outside never stop a transaction, and the chain holds over them."""
    with world.store.write() as tx:
        journal.write(tx, "account.failed", number(0), "sweep", why=said, error=said, listed=[said])
    journal.seal(world.store, checkpoint)
    assert journal.verify(world.store, checkpoint).ok


@pytest.mark.parametrize("fact", ["name", "email", "holder", "code"])
def test_personal_facts_are_refused(world: World, fact: str) -> None:
    """A fact by a name that means a person is a mistake of the caller."""
    with world.store.write() as tx, pytest.raises(ValueError, match=fact):
        journal.write(tx, "redeemed", number(0), "sender", at=NOW, **{fact: "Wang"})


def test_the_chain_is_the_same_on_both_databases(store: Store) -> None:
    """An instant is hashed as the same text whichever database kept it."""
    with store.write() as tx:
        journal.write(tx, "a", "s", "x", at=NOW)
        row = tx.execute(select(_table)).one()
    assert row.at.isoformat() == "2026-03-01T12:00:00+00:00"
