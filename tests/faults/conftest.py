"""Fixtures of the fault tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.stage import Processes, Stage
from tests.flows import town as towns
from tests.flows.town import Town


@pytest.fixture(scope="session")
def processes() -> Iterator[Processes]:
    """Where worker processes come from."""
    made = Processes()
    yield made
    made.close()


@pytest.fixture
def stage(tmp_path: Path, processes: Processes) -> Iterator[Stage]:
    """A Tenure whose workers are processes."""
    made = Stage(tmp_path / "home", processes)
    yield made
    made.close()


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    """A Tenure in this process, with one site in memory."""
    with towns.town(tmp_path / "town") as made:
        yield made
