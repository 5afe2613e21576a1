"""Every test of the store runs on SQLite and on a real PostgreSQL, each with a database that holds nothing else."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.store.engine import Store
from orchestrator.store.seal import Keyring
from orchestrator.store.tables import metadata
from tests.store import postgres
from tests.store.making import World, furnish

BACKENDS = ("sqlite", "postgresql")


@pytest.fixture(scope="session")
def key_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("keys") / "keyring.json"
    Keyring.create(path)
    return path


@pytest.fixture(scope="session")
def keyring(key_file: Path) -> Keyring:
    return Keyring.open(key_file)


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    with postgres.server() as url:
        yield url


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory, keyring: Keyring) -> Path:
    path = tmp_path_factory.mktemp("template") / "tenure.db"
    store = Store(f"sqlite:///{path}", keyring)
    store.migrate()
    store.close()
    return path


@pytest.fixture(scope="session")
def postgres_template(postgres_url: str, keyring: Keyring) -> str:
    postgres.run(postgres_url.format("postgres"), "CREATE DATABASE template_tenure")
    store = Store(postgres_url.format("template_tenure"), keyring)
    store.migrate()
    store.close()
    return "template_tenure"


@pytest.fixture
def sqlite_url(tmp_path: Path, sqlite_template: Path) -> str:
    shutil.copy(sqlite_template, tmp_path / "tenure.db")
    return f"sqlite:///{tmp_path}/tenure.db"


@pytest.fixture(scope="session")
def reused_postgres(postgres_url: str, postgres_template: str) -> str:
    postgres.run(postgres_url.format("postgres"), f"CREATE DATABASE reused TEMPLATE {postgres_template}")
    return postgres_url.format("reused")


@pytest.fixture
def emptied_postgres(reused_postgres: str, keyring: Keyring) -> str:
    """One database, emptied: a fresh one for each test would take most of the tests' time."""
    tables = [table.name for table in reversed(metadata.sorted_tables)]
    postgres.run(reused_postgres, ";".join(f"DELETE FROM {name}" for name in tables))
    store = Store(reused_postgres, keyring)
    store.migrate()
    store.close()
    return reused_postgres


@pytest.fixture(params=BACKENDS)
def url(request: pytest.FixtureRequest) -> str:
    """A migrated database with no rows."""
    if request.param == "sqlite":
        found: str = request.getfixturevalue("sqlite_url")
        return found
    emptied: str = request.getfixturevalue("emptied_postgres")
    return emptied


@pytest.fixture
def store(url: str, keyring: Keyring) -> Iterator[Store]:
    store = Store(url, keyring)
    yield store
    store.close()


@pytest.fixture
def world(store: Store) -> World:
    """A store with a sender, a holder, an offer and two sites with places."""
    return furnish(store)
