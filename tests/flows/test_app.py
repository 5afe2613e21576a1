"""Opening a home: keyring and database on first use, never another keyring for a database that is there."""

import stat
from datetime import timedelta
from pathlib import Path

import pytest

from orchestrator.app import KEYRING, App
from orchestrator.settings import BadSettings, load
from orchestrator.store import sites
from orchestrator.store.errors import WrongKey
from orchestrator.store.sites import SiteRow
from providers.protocol import NeedsHuman


def test_the_first_opening_makes_keyring_and_database(tmp_path: Path) -> None:
    """The keyring is for its owner alone."""
    with App.open(tmp_path) as app, app.ctx.store.read() as tx:
        assert sites.list_(tx) == []
    assert stat.S_IMODE((tmp_path / KEYRING).stat().st_mode) == 0o600


def test_the_second_opening_finds_what_the_first_wrote(tmp_path: Path) -> None:
    """And connects a site when it is asked for."""
    with App.open(tmp_path) as app, app.ctx.store.write() as tx:
        sites.put(tx, SiteRow("north", "memory", "edge"))
    with App.open(tmp_path) as app:
        assert app.ctx.sites.get("north").accounts() == []


def test_a_database_without_its_keyring_is_not_opened(tmp_path: Path) -> None:
    """No new keyring is made that could open nothing."""
    App.open(tmp_path).close()
    (tmp_path / KEYRING).unlink()
    with pytest.raises(WrongKey):
        App.open(tmp_path)
    assert not (tmp_path / KEYRING).exists()


def test_a_database_with_another_keyring_is_not_opened(tmp_path: Path) -> None:
    """It fails closed."""
    App.open(_folder(tmp_path / "a")).close()
    App.open(_folder(tmp_path / "b")).close()
    (tmp_path / "a" / KEYRING).write_bytes((tmp_path / "b" / KEYRING).read_bytes())
    with pytest.raises(WrongKey):
        App.open(tmp_path / "a")


def _folder(path: Path) -> Path:
    path.mkdir()
    return path


def test_a_site_that_is_not_known_says_what_to_do(tmp_path: Path) -> None:
    """`tenure apply`."""
    with App.open(tmp_path) as app, pytest.raises(NeedsHuman) as unknown:
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
