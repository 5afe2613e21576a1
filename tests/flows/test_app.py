"""Opening a home: keyring and database are made when that is asked for, and neither for another that is there."""

import sqlite3
import stat
from datetime import timedelta
from pathlib import Path

import pytest

from orchestrator.app import KEYRING, App
from orchestrator.settings import BadSettings, load
from orchestrator.store import journal, sites
from orchestrator.store.errors import NeverSetUp, StoreError, WrongKey
from orchestrator.store.sites import SiteRow
from providers.protocol import NeedsHuman


def test_making_a_home_makes_keyring_and_database(tmp_path: Path) -> None:
    """They are for their owner alone, and so is what SQLite and the journal put beside them."""
    with App.open(tmp_path, make=True) as app, app.ctx.store.write() as tx:
        assert sites.list_(tx) == []
        journal.write(tx, "home.made", "tenure", "cli:0")
    with App.open(tmp_path) as app:
        journal.seal(app.ctx.store, tmp_path / "journal.checkpoint")
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir() if path.is_file()}
    assert {KEYRING, "tenure.db", "tenure.db-wal", "journal.checkpoint"} <= modes.keys()
    assert set(modes.values()) == {0o600}


def test_the_second_opening_finds_what_the_first_wrote(tmp_path: Path) -> None:
    """And connects a site when it is asked for."""
    with App.open(tmp_path, make=True) as app, app.ctx.store.write() as tx:
        sites.put(tx, SiteRow("north", "memory", "edge"))
    with App.open(tmp_path) as app:
        assert app.ctx.sites.get("north").accounts() == []


def test_a_database_without_its_keyring_is_not_opened(tmp_path: Path) -> None:
    """No new keyring is made that could open nothing."""
    App.open(tmp_path, make=True).close()
    (tmp_path / KEYRING).unlink()
    with pytest.raises(WrongKey):
        App.open(tmp_path)
    assert not (tmp_path / KEYRING).exists()


def test_a_database_with_another_keyring_is_not_opened(tmp_path: Path) -> None:
    """It fails closed."""
    App.open(_folder(tmp_path / "a"), make=True).close()
    App.open(_folder(tmp_path / "b"), make=True).close()
    (tmp_path / "a" / KEYRING).write_bytes((tmp_path / "b" / KEYRING).read_bytes())
    with pytest.raises(WrongKey, match="keyring.json is not this database's; do: put its own copy back"):
        App.open(tmp_path / "a")


@pytest.mark.parametrize("left", [None, b"", "tables"])
def test_a_keyring_without_its_database_is_no_new_home(tmp_path: Path, left: bytes | str | None) -> None:
    """Gone, empty, or a file without tables: nothing is made, and what to do is said."""
    file = _without_database(tmp_path, left)
    before = file.stat().st_size if left is not None else None
    with pytest.raises(NeverSetUp, match="mounted.*backup.*tenure init"):
        App.open(tmp_path)
    assert (file.stat().st_size if file.exists() else None) == before


@pytest.mark.parametrize("left", [None, b"", "tables"])
@pytest.mark.parametrize("keyring", [True, False])
def test_nothing_is_made_anew_where_a_checkpoint_knows_of_a_journal(tmp_path: Path, left: bytes | str | None,
                                                                    keyring: bool) -> None:
    """Even when it is asked for."""
    _without_database(tmp_path, left)
    (tmp_path / "journal.checkpoint").write_text('{"position": 3, "chain": "00"}')
    if not keyring:
        (tmp_path / KEYRING).unlink()
    with pytest.raises(StoreError, match="put" if keyring or left == "tables" else "new home"):
        App.open(tmp_path, make=True)
    assert (tmp_path / KEYRING).exists() is keyring


def test_a_keyring_that_never_had_a_database_gets_one_when_asked_for(tmp_path: Path) -> None:
    """`tenure init`, broken off and run again."""
    _without_database(tmp_path, None)
    App.open(tmp_path, make=True).close()
    App.open(tmp_path).close()


def _without_database(home: Path, left: bytes | str | None) -> Path:
    """A home whose database is gone, or left as these bytes or without a table; the database's path."""
    App.open(home, make=True).close()
    file = home / "tenure.db"
    for path in home.glob("tenure.db*"):
        path.unlink()
    if isinstance(left, bytes):
        file.write_bytes(left)
    elif left is not None:
        with sqlite3.connect(file) as other:
            other.execute("CREATE TABLE other (x)")
        other.close()
    return file


def _folder(path: Path) -> Path:
    path.mkdir()
    return path


def test_a_site_that_is_not_known_says_what_to_do(tmp_path: Path) -> None:
    """`tenure apply`."""
    with App.open(tmp_path, make=True) as app, pytest.raises(NeedsHuman) as unknown:
        app.ctx.sites.get("nowhere")
    assert "tenure apply" in unknown.value.remedy


@pytest.mark.parametrize(("written", "field"), [
    ("workers: {provision: 0}", "workers.provision"), ("listen: {port: 70000}", "listen.port"),
    ("callbacks: {allow: [10.0.0.0/99]}", "callbacks.allow"), ("nonsense: 1", "nonsense"),
    ("timezone: Mars/Olympus", "timezone"), ("base_url: ftp://x", "base_url"), ("- a", "mapping"),
    ("{", "cannot be read"),
])
def test_bad_settings_name_their_field(tmp_path: Path, written: str, field: str) -> None:
    """And the file."""
    (tmp_path / "tenure.yaml").write_text(written)
    with pytest.raises(BadSettings) as bad:
        load(tmp_path)
    assert field in str(bad.value)
    assert "tenure.yaml" in str(bad.value)


def test_without_a_file_the_defaults_count(tmp_path: Path) -> None:
    """SQLite in the home; a poll every 50 ms."""
    settings = load(tmp_path)
    assert settings.database_url(tmp_path) == f"sqlite:///{tmp_path / 'tenure.db'}"
    assert settings.workers.poll == timedelta(milliseconds=50)
