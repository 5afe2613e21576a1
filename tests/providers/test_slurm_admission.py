"""What Slurm lets in on a real cluster: each kind of accelerator, the minutes of a lease, a fence that stays, and cores
that are set aside."""

import os
import time
from collections.abc import Iterator

import pytest

from tests.lab import slurm
from tests.lab.accounts import PARTS
from tests.lab.client import Answered, Client
from tests.lab.fixtures import standing
from tests.lab.slurm import SlurmLab
from tests.providers import slurm_world as world
from tests.providers.slurm_world import Make, until


@pytest.fixture(scope="module")
def lab() -> Iterator[SlurmLab]:
    with standing(SlurmLab(f"sla{os.getpid()}")) as one:
        yield one


@pytest.fixture(scope="module")
def client(lab: SlurmLab) -> Iterator[Client]:
    with lab.client() as one:
        yield one


@pytest.fixture
def tenant(lab: SlurmLab, client: Client) -> Iterator[Make]:
    """Make an account with open logins; gone after the test, and nothing of it left."""
    with world.opened(lab.place, client) as make:
        yield make


@pytest.mark.parametrize(("chip", "gres"), [("gpu", "gpu"), ("mlu", "mlu"), ("ascend-910b", "npu")])
def test_an_accelerator_of_each_kind_and_no_more(tenant: Make, chip: str, gres: str) -> None:
    """What was sold runs; one more is refused as it is submitted."""
    one = tenant(accelerators={chip: 1})
    job = world.submit(one, "true", f"--gres={gres}:1", "-o", "/dev/null")
    until("the job ends", lambda: world.state(one.place, job) == "COMPLETED")
    ran = world.sbatch(one, "true", f"--gres={gres}:2")
    assert ran.returncode != 0
    assert "violates accounting/QOS policy" in ran.stderr


def test_the_minutes_are_those_of_the_lease(tenant: Make) -> None:
    """Ten, of each thing that was sold."""
    one = tenant()
    assert world.rows(one.place, "qos", "grptresmins", f"name={one.user}") == [
        "cpu=10,gres/gpu=10,gres/mlu=0,gres/npu=0,mem=2561M"
    ]


@pytest.mark.parametrize(("left", "reason"), [("cpu=2", "QOSGrpCPUMinutesLimit"), ("mem=150", "QOSGrpMemoryMinutes")])
def test_a_job_that_the_minutes_do_not_hold_is_not_admitted(tenant: Make, left: str, reason: str) -> None:
    """Two are left, for so much: refused as it is submitted, and a shorter one runs."""
    one = tenant()
    slurm.inside(one.place, "sacctmgr", "-i", "modify", "qos", one.user, "set", f"GrpTRESMins={left}")
    ran = world.sbatch(one, "true", "--time=5")
    assert ran.returncode != 0
    assert reason in ran.stderr
    job = world.submit(one, "true", "--time=1", "-o", "/dev/null")
    until("the short one ends", lambda: world.state(one.place, job) == "COMPLETED")


def test_repairing_an_account_lifts_no_fence(tenant: Make, client: Client) -> None:
    """All parts are made good, and still nothing may be submitted."""
    one = tenant()
    one.fence()
    for part in PARTS:
        client.call("ensure", part=part, spec=one.spec)
    assert world.rows(one.place, "qos", "grpsubmit", f"name={one.user}") == ["0"]
    assert world.rows(one.place, "assoc", "maxsubmit", f"user={one.user}") == ["0"]


def test_cores_set_aside_stay_as_many_while_jobs_are_in_them(tenant: Make, client: Client) -> None:
    """Slurm changes none: said, and the job and its reservation are as before."""
    one = tenant(set_aside=True)
    job = world.running(one, "sleep 500", "-o", "/dev/null")
    with pytest.raises(Answered, match="refused.*holds 1 cores"):
        client.call("ensure", part="containers", spec=one.spec | {"cpu_milli": 2000})
    one.generation += 1
    client.call("arm", account=one.id, end=time.time() + 4000, generation=one.generation)
    assert world.state(one.place, job) == "RUNNING"
    assert client.call("ensure", part="containers", spec=one.spec)["cores"] == 1


def test_cores_are_set_aside_again_after_an_end(tenant: Make, client: Client) -> None:
    """The reservation ends with the lease, the account stays one that sets cores aside: within grace a contract gives
    it as many as its offer has."""
    one = tenant(12, set_aside=True)
    until("the reservation to be over", lambda: client.call("observe", part="containers", spec=one.spec)["cores"] == 0)
    assert client.call("observe", part="containers", spec=one.spec)["set_aside"] is True
    one.generation += 1
    client.call("unfence", account=one.id, end=time.time() + 600, generation=one.generation)
    one.spec |= {"cpu_milli": 2000}
    for part in PARTS:
        one.facts[part] = client.call("ensure", part=part, spec=one.spec)
    assert one.facts["containers"]["cores"] == 2
    assert "cpu=2," in one.facts["containers"]["tres"]
