"""Fixtures of the doors' tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.entry.http_world import World, world


@pytest.fixture
def tenure(tmp_path: Path) -> Iterator[World]:
    """A whole Tenure on loopback."""
    with world(tmp_path / "home") as made:
        yield made
