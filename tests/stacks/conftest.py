"""Stacks run by the real CLI, in files of the tests' own, at a site in memory."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from providers.memory.site import MemorySite, connect
from providers.protocol import Spec
from stacks.runner import Stacks
from tests.providers import specs

PASSPHRASE = "correct horse battery staple"


@pytest.fixture(scope="session")
def stacks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stacks]:
    with Stacks(None, tmp_path_factory.mktemp("home"), PASSPHRASE) as started:
        yield started


@pytest.fixture
def site() -> MemorySite:
    return connect(f"memory-{specs.new_id()}", {}, {})


@pytest.fixture
def spec(site: MemorySite) -> Spec:
    """Of an account whose end the site knows, so that its parts may be made."""
    made = specs.spec()
    site.arm(made, datetime.now(UTC) + timedelta(hours=1), generation=1)
    return made
