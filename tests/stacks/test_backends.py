"""The same operations with the states in a database, where only the CLI can see them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from providers.memory.site import MemorySite
from providers.protocol import PARTS, Spec
from stacks.errors import StackFailed, StackMissing
from stacks.runner import Stacks
from tests.stacks.conftest import PASSPHRASE
from tests.store import postgres


@pytest.fixture(scope="module")
def in_postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stacks]:
    with postgres.server() as url:
        backend = url.format("postgres").replace("postgresql://", "postgres://")
        with Stacks(backend, tmp_path_factory.mktemp("home"), PASSPHRASE) as started:
            yield started


def test_the_life_of_a_stack(in_postgres: Stacks, site: MemorySite, spec: Spec) -> None:
    """Made, looked at, found unchanged, emptied and forgotten."""
    account = spec.account
    assert not in_postgres.exists(account)
    assert set(in_postgres.up(account, spec, site).parts) == set(PARTS)
    assert in_postgres.exists(account)
    assert in_postgres.refresh(account, spec, site) == []
    assert in_postgres.preview(account, spec, site) == []
    assert in_postgres.repair(account) == []
    in_postgres.destroy(account, spec, site)
    assert site.parts["account"].observe(spec) is None
    in_postgres.remove(account)
    in_postgres.remove(account)
    assert not in_postgres.exists(account)


def test_a_stack_that_holds_something_is_not_forgotten(in_postgres: Stacks, site: MemorySite, spec: Spec) -> None:
    """The CLI refuses, and so do we."""
    in_postgres.up(spec.account, spec, site)
    with pytest.raises(StackFailed, match="still"):
        in_postgres.remove(spec.account)
    assert in_postgres.exists(spec.account)


def test_a_preview_without_a_stack(in_postgres: Stacks, site: MemorySite, spec: Spec) -> None:
    """A preview makes none."""
    with pytest.raises(StackMissing):
        in_postgres.preview(spec.account, spec, site)


def test_no_password_of_the_backend_is_told(tmp_path: Path, site: MemorySite, spec: Spec) -> None:
    """An error of a database that cannot be reached holds neither its password nor its address."""
    url = "postgres://tenure:hunter2@127.0.0.1:1/none"
    with Stacks(url, tmp_path, PASSPHRASE) as unreachable, pytest.raises(StackFailed) as caught:
        unreachable.up(spec.account, spec, site)
    assert "hunter2" not in str(caught.value)
