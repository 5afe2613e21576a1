"""Opening, migrating, and what happens when the database is locked, away or full."""

import os
import shutil
import sqlite3
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import func, select, text

from orchestrator.store import journal, keys, tables
from orchestrator.store.engine import Store
from orchestrator.store.errors import StoreBusy, StoreError, StoreFull
from orchestrator.store.seal import Keyring
from tests.store import postgres
from tests.store.making import NOW, World, new, seconds

SOON = seconds(0.2)


def rows(store: Store) -> int:
    with store.read() as tx:
        return tx.execute(select(func.count()).select_from(tables.journal)).scalar_one()


def write(store: Store, why: str = "") -> None:
    with store.write() as tx:
        journal.write(tx, "a", "s", "x", why=why, at=NOW)


def test_the_revisions_make_the_tables(store: Store) -> None:
    """What Alembic builds is what the code expects."""
    with store.read() as tx:
        context = MigrationContext.configure(tx.connection(), opts={"compare_type": True})
        assert compare_metadata(context, tables.metadata) == []


def test_migrating_twice_is_once(world: World) -> None:
    """A second time changes nothing."""
    world.add(new())
    world.store.migrate()
    assert world.record().account == new()


def started(url: str, keyring: Keyring) -> bool:
    """One of several starters of a new database: it finds it whole."""
    store = Store(url, keyring, busy=seconds(60))
    store.migrate()
    write(store)
    store.close()
    return True


def test_migrating_at_once_is_safe(tmp_path: Path, keyring: Keyring) -> None:
    """Several starters of a new SQLite database all find it whole."""
    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(started, [f"sqlite:///{tmp_path}/new.db"] * 4, [keyring] * 4))


def test_migrating_postgresql_at_once_is_safe(postgres_url: str, keyring: Keyring) -> None:
    """Several starters of a new PostgreSQL database all find it whole."""
    postgres.run(postgres_url.format("postgres"), "CREATE DATABASE at_once")
    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(started, [postgres_url.format("at_once")] * 4, [keyring] * 4))


def test_a_database_never_set_up_says_so(tmp_path: Path, keyring: Keyring) -> None:
    """The message names the command."""
    store = Store(f"sqlite:///{tmp_path}/none.db", keyring)
    with pytest.raises(StoreError, match="tenure init"), store.read():
        pass
    store.close()


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "mysql://x/y"])
def test_other_databases_are_refused(url: str) -> None:
    """Only what is tested is offered."""
    with pytest.raises(StoreError):
        Store(url, Keyring.new())


def test_sqlite_is_durable(sqlite_url: str, keyring: Keyring) -> None:
    """Write-ahead log, synced at each commit, on every connection."""
    store = Store(sqlite_url, keyring)
    with store.write() as tx:
        found = [tx.execute(text(f"PRAGMA {name}")).scalar_one() for name in ("journal_mode", "synchronous",
                                                                             "foreign_keys")]
    assert found == ["wal", 2, 1]
    store.close()


def test_an_error_rolls_back(store: Store) -> None:
    """Nothing of a failed transaction stays."""
    def undone() -> None:
        with store.write() as tx:
            journal.write(tx, "a", "s", "x", at=NOW)
            raise KeyError("undone")

    with pytest.raises(KeyError):
        undone()
    assert rows(store) == 0


def test_a_naive_instant_is_refused(store: Store) -> None:
    """A time without a zone never reaches the database."""
    with pytest.raises(StoreError, match="time zone"), store.write() as tx:
        journal.write(tx, "a", "s", "x", at=datetime(2026, 1, 1))  # noqa: DTZ001


def test_readers_wait_for_no_writer(store: Store) -> None:
    """While one transaction writes, another reads what was there before."""
    with store.write() as tx:
        journal.write(tx, "a", "s", "x", at=NOW)
        assert rows(store) == 0
    assert rows(store) == 1


def test_a_locked_sqlite_is_busy(sqlite_url: str, keyring: Keyring, tmp_path: Path) -> None:
    """Another process holds the lock: StoreBusy after the time-out, and it works when the lock is gone."""
    store = Store(sqlite_url, keyring, busy=SOON)
    other = sqlite3.connect(tmp_path / "tenure.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreBusy):
        write(store)
    other.execute("ROLLBACK")
    write(store)
    assert rows(store) == 1
    other.close()
    store.close()


def test_a_locked_postgresql_is_busy(postgres_url: str, postgres_template: str, keyring: Keyring) -> None:
    """A lock on a table: StoreBusy after the time-out, and it works when the lock is gone."""
    postgres.run(postgres_url.format("postgres"), f"CREATE DATABASE locked TEMPLATE {postgres_template}")
    store = Store(postgres_url.format("locked"), keyring, busy=SOON)
    with psycopg.connect(postgres_url.format("locked")) as other:
        other.execute("LOCK TABLE journal IN EXCLUSIVE MODE")
        with pytest.raises(StoreBusy):
            write(store)
        other.rollback()
        write(store)
    assert rows(store) == 1
    store.close()


def test_a_slow_writer_of_this_process_is_busy(store: Store) -> None:
    """On SQLite a thread waits for another only so long; PostgreSQL does not make it wait."""
    quick = Store(store.url.render_as_string(hide_password=False), store.keyring, busy=SOON)
    inside, done = threading.Event(), threading.Event()

    def hold() -> None:
        with quick.write():
            inside.set()
            done.wait(30)

    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(hold)
        assert inside.wait(30)
        try:
            if store.is_sqlite:
                with pytest.raises(StoreBusy):
                    write(quick)
            else:
                write(quick)
        finally:
            done.set()
        slow.result(30)
    quick.close()


def test_a_database_that_is_away_is_busy(tmp_path: Path) -> None:
    """No server at the address: StoreBusy, so that a door says 503."""
    store = Store(f"postgresql://postgres@/x?host={tmp_path}", Keyring.new(), busy=SOON)
    with pytest.raises(StoreBusy), store.read():
        pass
    store.close()


def test_a_cut_connection_is_busy_once(postgres_url: str, postgres_template: str, keyring: Keyring) -> None:
    """The server drops the connection in a transaction: StoreBusy, nothing written, and the next one works."""
    postgres.run(postgres_url.format("postgres"), f"CREATE DATABASE cut TEMPLATE {postgres_template}")
    store = Store(postgres_url.format("cut"), keyring)

    def cut_halfway() -> None:
        with store.write() as tx:
            journal.write(tx, "a", "s", "x", at=NOW)
            pid = tx.execute(text("SELECT pg_backend_pid()")).scalar_one()
            postgres.run(postgres_url.format("postgres"), f"SELECT pg_terminate_backend({pid}, 10000)")
            journal.write(tx, "b", "s", "x", at=NOW)

    with pytest.raises(StoreBusy):
        cut_halfway()
    assert rows(store) == 0
    write(store)
    assert rows(store) == 1
    store.close()


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """A disk of 24 MiB, where PostgreSQL's user can reach it."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small disk needs root")
    folder = Path(tempfile.mkdtemp(prefix="tenure-disk-"))
    folder.chmod(0o755)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m,mode=0755", "tmpfs", str(folder)], check=True, timeout=30)
    yield folder
    subprocess.run(["umount", str(folder)], check=True, timeout=30)
    folder.rmdir()


def kept(store: Store) -> int:
    with store.read() as tx:
        return sum(keys.get(tx, f"key-{nth}") is not None for nth in range(1000))


def fill(store: Store) -> int:
    """Write until the disk is full; how many rows were acknowledged."""
    for done in range(1000):
        try:
            with store.write() as tx:
                keys.put_new(tx, f"key-{done}", os.urandom(1_000_000))
        except StoreFull:
            return done
    pytest.fail("the disk never filled up")


def test_a_full_disk_acknowledges_nothing(small_disk: Path, keyring: Keyring) -> None:
    """SQLite's disk full: an error, every acknowledged row there, no other."""
    store = Store(f"sqlite:///{small_disk}/tenure.db", keyring)
    store.migrate()
    done = fill(store)
    assert kept(store) == done
    store.close()


def test_a_full_disk_of_postgresql_acknowledges_nothing(
        small_disk: Path, postgres_url: str, postgres_template: str, keyring: Keyring) -> None:
    """PostgreSQL's disk full: an error, every acknowledged row there, no other."""
    admin = postgres_url.format("postgres")
    space = small_disk / "space"
    space.mkdir(mode=0o700)
    shutil.chown(space, "postgres", "postgres")
    postgres.run(admin, f"CREATE TABLESPACE small LOCATION '{space}'")
    postgres.run(admin, f"CREATE DATABASE full_disk TEMPLATE {postgres_template} TABLESPACE small")
    store = Store(postgres_url.format("full_disk"), keyring)
    try:
        done = fill(store)
        assert kept(store) == done
    finally:
        store.close()
        postgres.run(admin, "DROP DATABASE full_disk WITH (FORCE)")
        postgres.run(admin, "DROP TABLESPACE small")
