"""Opening the database and its transactions. SQLite (WAL, synchronous=FULL) by default, PostgreSQL by URL.

A write transaction takes SQLite's write lock at its start, so that what it reads is still so when it commits.
"""

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, make_url, select, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError, StatementError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session

from orchestrator.store import tables
from orchestrator.store.errors import Conflict, NeverSetUp, StoreBusy, StoreError, StoreFull, WrongKey
from orchestrator.store.seal import Keyring
from orchestrator.store.sql import insert_new

Tx = Session
"""A transaction. Functions of the store take it first and never commit."""

_CANARY = "canary"
_FULL_SQLITE = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY}
_FULL_POSTGRES = {"53100", "58030"}
_NEVER_SET_UP = "database: it was never set up; do: tenure init"


class Store:
    """One database and its keyring. Thread-safe. `busy` is how long a transaction waits for a lock."""

    def __init__(self, url: str, keyring: Keyring, *, busy: timedelta = timedelta(seconds=5)) -> None:
        self.keyring = keyring
        self.url = _url(url)
        self._busy = busy
        self._engine = _engine(self.url, busy)
        self._writing = self._engine.execution_options(tenure_write=True)
        self._writer = threading.Lock() if self.is_sqlite else None
        self._key_checked = False

    @property
    def is_sqlite(self) -> bool:
        return self.url.get_backend_name() == "sqlite"

    def migrate(self) -> None:
        """Bring the tables to this version, and bind a new database to the keyring. Safe twice and at once."""
        from orchestrator.store.migrate import upgrade  # Alembic costs start-up time that only this call should pay

        _make_private(sqlite_file(self.url))
        with self._one_writer(), self._translated(), self._writing.begin() as connection:
            if not self.is_sqlite:
                connection.execute(text("SELECT pg_advisory_xact_lock(7300417)"))
            upgrade(connection)
        with self._transaction(self._writing, check=False) as tx:
            insert_new(tx, tables.keys, {"name": _CANARY, "sealed": self.keyring.seal(
                self.keyring.mac(_CANARY, _CANARY), _CANARY)})
        self._check_key()

    @contextmanager
    def write(self) -> Iterator[Tx]:
        """A transaction that commits at the end, or rolls back and raises (StoreBusy, StoreFull, Conflict)."""
        with self._transaction(self._writing) as tx:
            yield tx

    @contextmanager
    def read(self) -> Iterator[Tx]:
        """A consistent view. It waits for no writer."""
        with self._transaction(self._engine) as tx:
            yield tx

    def close(self) -> None:
        self._engine.dispose()

    @contextmanager
    def _transaction(self, engine: Engine, *, check: bool = True) -> Iterator[Tx]:
        if check and not self._key_checked:
            self._check_key()
        with self._one_writer(engine is self._writing), self._translated():
            tx = Session(engine, info={"keyring": self.keyring}, autoflush=False)
            try:
                tx.connection()
                yield tx
                tx.commit()
            finally:
                tx.close()

    @contextmanager
    def _one_writer(self, wanted: bool = True) -> Iterator[None]:
        """Threads queue here, where waiting is fair and cheap, and not at SQLite's lock, where it is polling."""
        if self._writer is None or not wanted:
            yield
            return
        if not self._writer.acquire(timeout=self._busy.total_seconds()):
            raise StoreBusy(f"database {self.url.database}: another transaction of this process has not ended")
        try:
            yield
        finally:
            self._writer.release()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except PoolTimeout as error:
            raise StoreBusy("database: all connections are in use") from error
        except IntegrityError as error:
            raise Conflict(f"database: {error.orig}") from error
        except DBAPIError as error:
            raise translate(error) from error
        except StatementError as error:
            raise StoreError(f"database: {error.orig}") from error

    def _check_key(self) -> None:
        """Fail closed: with another key, codes would be unknown and secrets unreadable one by one."""
        with self._transaction(self._engine, check=False) as tx:
            sealed = tx.execute(select(tables.keys.c.sealed).where(tables.keys.c.name == _CANARY)).scalar()
        if sealed is None:
            raise NeverSetUp(_NEVER_SET_UP)
        try:
            opens = self.keyring.unseal(sealed, _CANARY) == self.keyring.mac(_CANARY, _CANARY)
        except WrongKey:
            opens = False
        if not opens:
            raise WrongKey("keyring.json is not this database's; do: put its own copy back")
        self._key_checked = True


def translate(error: DBAPIError) -> StoreError:
    """The driver's error as the store's."""
    cause = error.orig
    code = getattr(cause, "sqlite_errorcode", None)
    state = getattr(cause, "sqlstate", None)
    if state in _FULL_POSTGRES or (code is not None and code & 0xFF in _FULL_SQLITE):
        return StoreFull(f"database: its disk is full or failing: {cause}")
    locked = code is not None and code & 0xFF in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_CANTOPEN}
    away = error.connection_invalidated or (code is None and (state is None or state[:2] in {"08", "57", "53"}))
    if locked or away or state in {"55P03", "40001", "40P01"}:
        return StoreBusy(f"database: {cause}")
    if state == "42P01" or "no such table" in str(cause):
        return NeverSetUp(_NEVER_SET_UP)
    return StoreError(f"database: {cause}")


def sqlite_file(url: str | URL) -> Path | None:
    """The file of an SQLite database; None for another kind. Raises StoreError."""
    found = _url(url) if isinstance(url, str) else url
    return Path(found.database or "").absolute() if found.get_backend_name() == "sqlite" else None


def unwritable(folder: Path) -> str:
    """Why nothing can be written in this folder; empty when it can."""
    if os.access(folder, os.W_OK | os.X_OK):
        return ""
    if os.statvfs(folder).f_flag & os.ST_RDONLY:
        return "its file system is mounted read-only; do: mount it for writing"
    return f"user {os.geteuid()} may not; do: run as its owner, user {folder.stat().st_uid}"


def _make_private(file: Path | None) -> None:
    """A new database is its owner's alone, and with it what SQLite puts beside it."""
    try:
        if file is not None:
            file.touch(mode=0o600)
    except OSError as error:
        raise StoreError(f"database {file}: {error.strerror}") from error


def _url(text_: str) -> URL:
    try:
        url = make_url(text_)
    except ArgumentError:
        # Without `from`, and without the text: it may hold a password.
        raise StoreError("database: cannot read its URL; use sqlite:////path/x.db or postgresql://host/name") from None
    if url.drivername == "postgresql":
        return url.set(drivername="postgresql+psycopg")
    if url.get_backend_name() == "sqlite" and url.database in {None, "", ":memory:"}:
        raise StoreError("database: SQLite needs a file, for example sqlite:////var/lib/tenure/tenure.db")
    if url.get_backend_name() not in {"sqlite", "postgresql"}:
        raise StoreError(f"database: {url.drivername} is neither sqlite nor postgresql")
    return url


def _engine(url: URL, busy: timedelta) -> Engine:
    seconds = busy.total_seconds()
    if url.get_backend_name() == "sqlite":
        engine = create_engine(url, hide_parameters=True, pool_size=8, max_overflow=24, pool_timeout=seconds,
                               connect_args={"timeout": seconds})
        event.listen(engine, "connect", _on_sqlite_connect)
        event.listen(engine, "begin", _on_sqlite_begin)
        return engine
    lock = int(seconds * 1000)
    return create_engine(url, hide_parameters=True, pool_size=8, max_overflow=24, pool_timeout=seconds,
                         pool_pre_ping=True, connect_args={
        "connect_timeout": max(2, int(seconds)), "application_name": "tenure",
        "keepalives_idle": 10, "tcp_user_timeout": 15000,
        "options": f"-c lock_timeout={lock} -c statement_timeout={lock + 25000} -c timezone=UTC",
    })


def _on_sqlite_connect(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # the driver's own BEGIN is deferred: it would let two readers become writers
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}").close()


def _on_sqlite_begin(connection: Connection) -> None:
    write = connection.get_execution_options().get("tenure_write")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")
