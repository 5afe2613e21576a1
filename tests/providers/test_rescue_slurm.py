"""Fetching after the end from a cluster's login node: the home lies elsewhere there, the door is the same."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.accounts import Tenant
from tests.lab.place import Unfit
from tests.lab.slurm import SlurmLab
from tests.providers.rescues import ended, sftp


@pytest.fixture(scope="module")
def over() -> Iterator[Tenant]:
    """An account of a cluster, past its end."""
    lab = SlurmLab(f"rs{os.getpid()}")
    try:
        lab.up()
        with lab.client() as client, ended(lab, client) as tenant:
            yield tenant
    except Unfit as missing:
        pytest.fail(str(missing), pytrace=False)
    finally:
        lab.down()


def test_files_are_fetched_from_a_cluster(over: Tenant, tmp_path: Path) -> None:
    """From the home that jobs wrote to; nothing is written."""
    ran = sftp(over, f"get results/data {tmp_path}/data")
    assert ran.returncode == 0, ran.stderr
    assert (tmp_path / "data").read_text() == "kept\n"
    assert sftp(over, "rm results/data").returncode != 0


@pytest.mark.parametrize("command", ["id", "sbatch --wrap true", "squeue", "container list"])
def test_no_job_is_submitted(over: Tenant, command: str) -> None:
    """Neither a shell nor Slurm's commands."""
    assert over.login(command).returncode == 77
