"""Accounting that others use too: another cluster of the same slurmdbd, and names that are taken."""

import os
from collections.abc import Iterator

import pytest

from tests.lab import slurm
from tests.lab.accounts import Tenant, new_id, spec
from tests.lab.client import Answered, Client
from tests.lab.fixtures import standing
from tests.lab.shell import run, stop
from tests.lab.slurm import SlurmLab
from tests.providers import slurm_world as world

OTHER = "other"


@pytest.fixture(scope="module")
def lab() -> Iterator[SlurmLab]:
    """With a second cluster in the books."""
    with standing(SlurmLab(f"sls{os.getpid()}")) as one:
        account(one, "add", "cluster", OTHER)
        yield one


@pytest.fixture(scope="module")
def client(lab: SlurmLab) -> Iterator[Client]:
    with lab.client() as one:
        yield one


def account(lab: SlurmLab, *words: str) -> None:
    """A change of accounting."""
    slurm.inside(lab.place, "sacctmgr", "-i", *words)


def ties(lab: SlurmLab, *where: str) -> list[str]:
    return world.rows(lab.place, "assoc", "cluster,account,user,qos,maxsubmit", *where)


def test_an_account_is_in_its_own_cluster_alone(lab: SlurmLab, client: Client) -> None:
    """Made, fenced, lifted and cleaned away beside a cluster that has associations of its own; jobs are taken."""
    account(lab, "add", "account", "physics", f"cluster={OTHER}")
    account(lab, "add", "user", "bob", "account=physics", f"cluster={OTHER}", "MaxSubmitJobs=7")
    theirs = ties(lab, f"cluster={OTHER}")
    one = world.tenant(lab.place, client).open()
    assert {row.split("|")[0] for row in ties(lab, f"account={one.user}")} == {slurm.cluster_name(lab.place)}
    assert one.login("sbatch --test-only --wrap true").returncode == 0
    one.fence()
    assert ties(lab, f"cluster={OTHER}") == theirs
    one.clean()
    assert one.leftovers() == []
    assert world.rows(lab.place, "account", "account", f"account={one.user}") == []
    assert ties(lab, f"cluster={OTHER}") == theirs


def test_what_another_cluster_has_of_an_account_is_its_own(lab: SlurmLab, client: Client) -> None:
    """Somebody has let the account use theirs: their association keeps its limits and outlives ours, which still works.
    """
    one = world.tenant(lab.place, client).open()
    account(lab, "add", "account", one.user, f"cluster={OTHER}")
    account(lab, "add", "user", one.user, f"account={one.user}", f"cluster={OTHER}", "MaxSubmitJobs=7")
    theirs = ties(lab, f"cluster={OTHER}")
    client.call("arm", account=one.id, end=one.ends_at + 60, generation=1)
    assert client.call("observe", part="account", spec=one.spec)["slurm_account"] == one.user
    assert client.call("observe", part="containers", spec=one.spec) is not None
    one.clean()
    assert one.leftovers() == []
    assert [row for row in ties(lab, f"cluster={OTHER}") if row not in theirs] == []
    assert len(ties(lab, f"account={one.user}")) == 2
    assert one.id not in client.call("accounts")


def test_an_association_of_somebody_else_s_account_is_left_alone(lab: SlurmLab, client: Client) -> None:
    """Account and user of our names: refused; neither fence nor clean nor listing touches what is theirs."""
    one = Tenant(lab.place, client, spec(new_id(), **world.SMALL))
    here = f"cluster={slurm.cluster_name(lab.place)}"
    run(["useradd", "-M", "-u", str(lab.place.uid_max), "-U", "-s", "/bin/sh", one.user])
    account(lab, "add", "account", one.user, here, "Description=physics")
    account(lab, "add", "user", one.user, here, f"account={one.user}", "MaxSubmitJobs=7")
    held = [f"ReservationName={one.user}", f"Users={one.user}", "StartTime=now", "Duration=60"]
    slurm.inside(lab.place, "scontrol", "create", "reservation", *held, "Licenses=tenure:1", "Flags=ANY_NODES")
    before = ties(lab, f"account={one.user}")
    with pytest.raises(Answered, match="is not ours"):
        one.make()
    one.clean()
    assert one.leftovers() == []
    assert len(before) == 2
    assert ties(lab, f"account={one.user}") == before
    assert f"ReservationName={one.user} " in slurm.inside(lab.place, "scontrol", "-o", "show", "reservation")
    slurm.inside(lab.place, "scontrol", "delete", f"ReservationName={one.user}")
    account(lab, "delete", "user", one.user, f"account={one.user}")
    account(lab, "delete", "account", one.user)


def test_a_listing_that_fails_counts_as_not_empty(lab: SlurmLab, client: Client) -> None:
    """With slurmdbd away nobody can say that nothing is left."""
    one = world.tenant(lab.place, client)
    one.clean()
    assert one.leftovers() == []
    stop(lab.place, "slurmdbd")
    try:
        rows = client.call("leftovers", account=one.id)
        assert [(row["kind"], row["unlisted"]) for row in rows] == [("slurm", True)]
    finally:
        slurm.slurmdbd(lab.place)
