"""Fixtures of the flows' tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.flows import town as towns
from tests.flows.town import Town


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    """A Tenure with one site."""
    with towns.town(tmp_path / "home") as made:
        yield made


@pytest.fixture
def two(tmp_path: Path) -> Iterator[Town]:
    """A Tenure with two sites."""
    with towns.town(tmp_path / "home", ("north", "south")) as made:
        yield made
