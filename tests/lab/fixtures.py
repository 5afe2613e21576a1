"""A lab for the tests of one run, and accounts on it; where the machine cannot host one they fail with one sentence."""

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.lab.accounts import Tenant, new_id, spec
from tests.lab.client import Client
from tests.lab.lab import Lab
from tests.lab.place import Unfit

MakeTenant = Callable[..., Tenant]


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    """A lab of this run's own, taken down at its end."""
    one = Lab(f"t{os.getpid()}")
    try:
        one.up()
    except Unfit as error:
        one.down()
        pytest.fail(str(error), pytrace=False)
    yield one
    one.down()


@pytest.fixture(scope="session")
def lab_client(lab: Lab) -> Iterator[Client]:
    with lab.client() as client:
        yield client


@pytest.fixture
def tenant(lab: Lab, lab_client: Client) -> Iterator[MakeTenant]:
    """Make an account with all five parts, logins closed; gone after the test."""
    made = []

    def make(**sizes: Any) -> Tenant:
        made.append(Tenant(lab.place, lab_client, spec(new_id(), **sizes)).make())
        return made[-1]

    yield make
    for one in made:
        one.clean()
        assert one.leftovers() == []
