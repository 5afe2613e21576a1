"""A lab for the tests of one run, and accounts on it; where the machine cannot host one they fail with one sentence."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import pytest

from tests.lab.accounts import Tenant, new_id, spec
from tests.lab.client import Client
from tests.lab.lab import Lab
from tests.lab.place import Unfit

L = TypeVar("L", bound=Lab)
MakeTenant = Callable[..., Tenant]


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    """A lab of this run's own, taken down at its end."""
    with standing(Lab(f"t{os.getpid()}")) as one:
        yield one


@contextmanager
def standing(lab: L) -> Iterator[L]:
    """The lab, brought up and taken down; one sentence where the machine cannot host it."""
    try:
        lab.up()
    except Unfit as error:
        lab.down()
        pytest.fail(str(error), pytrace=False)
    yield lab
    lab.down()


@contextmanager
def cleaned() -> Iterator[list[Tenant]]:
    """A list for accounts: those in it are cleaned away afterwards, and nothing of them is left."""
    made: list[Tenant] = []
    yield made
    for one in made:
        one.clean()
        assert one.leftovers() == []


@pytest.fixture(scope="session")
def lab_client(lab: Lab) -> Iterator[Client]:
    with lab.client() as client:
        yield client


@pytest.fixture
def tenant(lab: Lab, lab_client: Client) -> Iterator[MakeTenant]:
    """Make an account with all five parts, logins closed; gone after the test."""
    with cleaned() as made:

        def make(**sizes: Any) -> Tenant:
            made.append(Tenant(lab.place, lab_client, spec(new_id(), **sizes)).make())
            return made[-1]

        yield make
