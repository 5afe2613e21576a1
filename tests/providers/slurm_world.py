"""A Slurm lab's account and its jobs, for tests on the real cluster."""

import re
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from tests.lab import slurm
from tests.lab.accounts import MIB, Tenant, new_id, spec
from tests.lab.client import Client
from tests.lab.fixtures import cleaned
from tests.lab.place import Place

STUBBORN = "trap '' TERM INT; while :; do sleep 1; done"
SMALL = {"containers": 2, "cpu_milli": 1000, "memory": 256 * MIB, "accelerators": {"gpu": 1}}


Make = Callable[..., Tenant]
"""Seconds and sizes → an account with open logins."""


@contextmanager
def opened(place: Place, client: Client) -> Iterator[Make]:
    """Makes accounts; those are gone afterwards, and nothing of them is left."""
    with cleaned() as made:

        def make(duration: float = 600, **sizes: Any) -> Tenant:
            made.append(tenant(place, client, **sizes))
            return made[-1].open(duration)

        yield make


def tenant(place: Place, client: Client, **sizes: Any) -> Tenant:
    return Tenant(place, client, spec(new_id(), **{**SMALL, **sizes})).make()


def until(what: str, fact: Callable[[], Any], seconds: float = 60) -> Any:
    """What `fact` gave as soon as it gave something."""
    deadline = time.monotonic() + seconds
    while not (seen := fact()):
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        time.sleep(0.05)
    return seen


def submit(one: Tenant, script: str, *options: str) -> str:
    """The id of a job that the holder submits from a login."""
    ran = sbatch(one, script, *options)
    found = re.search(r"Submitted batch job (\d+)", ran.stdout)
    assert found, ran.stdout + ran.stderr
    return found[1]


def sbatch(one: Tenant, script: str, *options: str) -> "subprocess.CompletedProcess[str]":
    quoted = script.replace("'", "'\\''")
    return one.login(f"sbatch {' '.join(options)} --wrap '{quoted}'")


def running(one: Tenant, script: str, *options: str) -> str:
    """The id of a job that runs."""
    job = submit(one, script, *options)
    until(f"job {job} runs", lambda: state(one.place, job) == "RUNNING")
    return job


def state(place: Place, job: str) -> str:
    """As slurmctld has it; empty when it has forgotten the job."""
    row = slurm.inside(place, "scontrol", "-o", "show", "job", job, check=False)
    found = re.search(r"JobState=(\w+)", row)
    return found[1] if found else ""


def rows(place: Place, what: str, columns: str, *where: str) -> list[str]:
    argv = ["sacctmgr", "-n", "-P", "list", what, f"format={columns}", *where]
    return slurm.inside(place, *argv).split()


def removals(place: Place) -> int:
    """How often Slurm was told to remove QOS, by its own book of changes."""
    argv = ["sacctmgr", "-n", "-P", "list", "transactions", "format=action"]
    return slurm.inside(place, *argv).splitlines().count("Remove QOS")


def processes(uid: int) -> list[str]:
    """Processes of this uid, asked of ps."""
    ran = subprocess.run(["ps", "-o", "pid=,stat=", "-U", str(uid)], capture_output=True, text=True, check=False)
    return [row for row in ran.stdout.splitlines() if "Z" not in row]
