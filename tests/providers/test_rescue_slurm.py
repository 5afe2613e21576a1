"""Fetching after the end from a cluster's login node: the home lies elsewhere there, the door is the same."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab import program, slurm
from tests.lab.accounts import Tenant
from tests.lab.fixtures import standing
from tests.lab.shell import stop, until
from tests.lab.slurm import SlurmLab
from tests.providers.rescues import Session, ended, knock, sftp


@pytest.fixture(scope="module")
def lab() -> Iterator[SlurmLab]:
    with standing(SlurmLab(f"rs{os.getpid()}")) as one:
        yield one


@pytest.fixture(scope="module")
def over(lab: SlurmLab) -> Iterator[Tenant]:
    """An account of a cluster, past its end."""
    with lab.client() as client, ended(lab, client) as tenant:
        yield tenant


def test_a_session_outlives_the_fences_of_an_outage(over: Tenant, lab: SlurmLab) -> None:
    """With slurmctld away the reaper tries the end in the cluster again and again; who fetches is spared."""
    log = lab.place.path("log") / "reaper.log"
    stop(lab.place, "slurmctld")
    try:
        stop(lab.place, "reaper")
        program.start_reaper(lab.place)
        with Session(over) as session:
            tried = log.read_text().count(f"{over.id}: in the cluster")
            until(lambda: log.read_text().count(f"{over.id}: in the cluster") > tried + 1, "two more tries", 60)
            assert session.alive()
    finally:
        known = log.read_text().count("ended in the cluster")
        slurm.slurmctld(lab.place)
    until(lambda: log.read_text().count("ended in the cluster") > known, "the end in the cluster", 60)


def test_files_are_fetched_from_a_cluster(over: Tenant, tmp_path: Path) -> None:
    """From the home that jobs wrote to; nothing is written."""
    ran = sftp(over, f"get results/data {tmp_path}/data")
    assert ran.returncode == 0, ran.stderr
    assert (tmp_path / "data").read_text() == "kept\n"
    assert sftp(over, "rm results/data").returncode != 0


@pytest.mark.parametrize("command", ["id", "sbatch --wrap true", "squeue", "container list"])
def test_no_job_is_submitted(over: Tenant, command: str) -> None:
    """Neither a shell nor Slurm's commands."""
    assert knock(over, command).returncode == 77
