"""kill -9 before each side effect of the on-site program: done again, everything is whole; cleaned, nothing is left."""

import json
import signal
import subprocess
import sys
import time
from typing import Any

import pytest

from tests.lab.accounts import PARTS, Tenant, new_id, spec
from tests.lab.client import Client
from tests.lab.lab import Lab

MOST = 60
"""More side effects than any one request has."""


def killed(lab: Lab, fatal: int, op: str, **arguments: Any) -> bool:
    """Do the request, to be killed before its side effect number `fatal`; whether that came."""
    config, request = lab.place.path("etc/config.json"), json.dumps({"id": 1, "op": op, **arguments})
    argv = [*lab.place.inside, sys.executable, "-m", "tests.lab.killed", str(config), str(fatal), request]
    ran = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode in (0, -signal.SIGKILL), ran.stdout + ran.stderr
    return ran.returncode != 0


@pytest.mark.parametrize("part", PARTS)
def test_a_part_half_made_is_made_whole(lab: Lab, lab_client: Client, part: str) -> None:
    """Killed before each side effect of its making, a part is adopted by the next ensure, and its account opens."""
    fatal, dying = 0, True
    while dying:
        fatal += 1
        assert fatal < MOST
        made = Tenant(lab.place, lab_client, spec(new_id()))
        lab_client.call("arm", account=made.id, end=time.time() + 600, generation=1)
        for before in PARTS[: PARTS.index(part)]:
            lab_client.call("ensure", part=before, spec=made.spec)
        dying = killed(lab, fatal, "ensure", part=part, spec=made.spec)
        made.make().open()
        made.clean()
        assert made.leftovers() == []
    assert fatal > 1


def test_a_clean_cut_short_is_taken_up_again(lab: Lab, lab_client: Client) -> None:
    """Killed before each side effect of a clean, the next one finds all that is left."""
    fatal, dying = 0, True
    while dying:
        fatal += 1
        assert fatal < MOST
        made = Tenant(lab.place, lab_client, spec(new_id())).make().open()
        made.fence()
        dying = killed(lab, fatal, "clean", batch=[[made.id, 3]])
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
        dying = killed(lab, fatal, op, **request)
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
