"""Fixtures of the doors' tests."""

from collections.abc import Iterator

import pytest

from tests.entry.http_world import World, world


@pytest.fixture(scope="module")
def served_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One Tenure for all tests of a module."""
    with world(tmp_path_factory.mktemp("tenure") / "home") as made:
        yield made


@pytest.fixture
def tenure(served_world: World) -> Iterator[World]:
    """It, with its clock put right again."""
    yield served_world
    served_world.clock.ahead *= 0
