"""kill -9 before each side effect of the on-site program: done again, everything is whole; cleaned, nothing is left."""

import time
from typing import Any

import pytest

from tests.lab.accounts import Tenant, new_id, spec
from tests.lab.client import Client
from tests.lab.killed import MOST, dies
from tests.lab.lab import Lab


def test_a_clean_cut_short_is_taken_up_again(lab: Lab, lab_client: Client) -> None:
    """Killed before each side effect of a clean, the next one finds all that is left."""
    fatal, dying = 0, True
    while dying:
        fatal += 1
        assert fatal < MOST
        made = Tenant(lab.place, lab_client, spec(new_id())).make().open()
        made.fence()
        dying = dies(lab.place, fatal, "clean", batch=[[made.id, 3]])
        made.generation = 3
        made.clean()
        assert made.leftovers() == []
        assert made.id not in lab_client.call("accounts")
    assert fatal > 10


@pytest.mark.parametrize("op", ["arm", "open", "fence", "unfence"])
def test_an_act_cut_short_has_one_outcome(lab: Lab, lab_client: Client, op: str) -> None:
    """Killed before each side effect, an act that is repeated with its generation is done once and wholly."""
    fatal, dying = 0, True
    while dying:
        fatal += 1
        assert fatal < MOST
        made = Tenant(lab.place, lab_client, spec(new_id())).make()
        if op in ("fence", "unfence"):
            made.open()
        if op == "unfence":
            made.fence()
        request = act(op, made)
        dying = dies(lab.place, fatal, op, **request)
        first = lab_client.call(op, **request)
        assert lab_client.call(op, **request) == first
        made.generation = 5
        made.clean()
    assert fatal > 1


def act(op: str, made: Tenant) -> dict[str, Any]:
    end = time.time() + 900
    requests: dict[str, dict[str, Any]] = {
        "arm": {"account": made.id, "end": end, "generation": 4},
        "open": {"account": made.id, "duration": 600, "generation": 4},
        "fence": {"batch": [[made.id, 4]], "by": "operator"},
        "unfence": {"account": made.id, "end": end, "generation": 4},
    }
    return requests[op]
