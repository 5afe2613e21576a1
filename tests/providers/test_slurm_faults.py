"""One account's trouble in Slurm is its own. Slurm's programs are hand-written: they say what a test wants said."""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from providers.host.onsite import (
    cluster,
    config,
    fence,
    lease,
    ledger,
    lock,
    run,
    slurm,
    slurm_end,
    slurm_jobs,
    slurm_network,
    slurm_usage,
    spec,
)
from providers.host.onsite.errors import Later
from tests.providers import onsite_world

ONE, TWO = "aaaaaaaaaa", "aaaaaaaaab"
SQUEUE = '#!/bin/sh\ncat "${0%/*}/queue"\n'
SACCT = '#!/bin/sh\necho "$@" >> "${0%/*}/asked"\ncat "${0%/*}/books"\n'
SCONTROL = '#!/bin/sh\ncat "${0%/*}/reservations"\n'
RUNS = f"tn-{ONE}|2026-11-23T10:00:00|Unknown|1|cpu=1|RUNNING\n"
OVER = f"tn-{ONE}|2026-11-23T10:00:00|2026-11-23T10:00:05|5|cpu=1|COMPLETED\n"
RESERVED = f"ReservationName=tn-{ONE} EndTime=2026-11-23T10:00:00 Users=tn-{ONE} "
SCANCEL = '#!/bin/sh\necho "$@" >> "${0%/*}/cancelled"\n'
SACCTMGR = """#!/bin/sh
here="${0%/*}"
case "$*" in
*"list qos"*) cat "$here/qos" ;;
*"list assoc format=account,cluster"*) sed 's/|.*/|c1/' "$here/assoc" ;;
*"list assoc"*) cat "$here/assoc" ;;
*"list account"*) sed 's/|.*/|tenure:here/' "$here/assoc" ;;
*) cat > /dev/null ;;
esac
"""


@dataclass
class Faked:
    """A cluster in a folder: its programs print the files beside them."""

    config: config.Config
    folder: Path
    uids: dict[str, int]

    def queue(self, *rows: tuple[str, str, str]) -> None:
        """Jobs: account, id, state."""
        lines = (f"{self.uids[account]}|{job}|{state}\n" for account, job, state in rows)
        self.file("queue", "".join(lines))

    def file(self, name: str, text: str) -> None:
        aside = self.folder / f"{name}.new"
        aside.write_text(text)
        aside.rename(self.folder / name)

    def asked(self) -> list[str]:
        """What sacct was asked, call by call."""
        path = self.folder / "asked"
        return path.read_text().splitlines() if path.exists() else []

    def account(self, account: str) -> spec.Account:
        """One that is kept on the host."""
        return spec.keep(self.config, specs(account))

    def cancelled(self) -> str:
        path = self.folder / "cancelled"
        return path.read_text() if path.exists() else ""


@pytest.fixture
def faked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Faked:
    """Two accounts that are shut already and have no jobs."""
    programs = tmp_path / "programs"
    programs.mkdir()
    fakes = {"squeue": SQUEUE, "scancel": SCANCEL, "sacctmgr": SACCTMGR, "sacct": SACCT, "scontrol": SCONTROL}
    for name, text in fakes.items():
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    (tmp_path / "slurm.conf").write_text("ClusterName=c1\n")
    monkeypatch.setitem(run.ENVIRONMENT, "PATH", f"{programs}:{run.ENVIRONMENT['PATH']}")
    described = {"slurm": {"conf": str(tmp_path / "slurm.conf"), "munge": "/run/munge", "licence": "tenure"}}
    host = onsite_world.make(tmp_path, **described)
    with lock.site(host):
        made = Faked(host, programs, {account: ledger.uid(host, account) for account in (ONE, TWO)})
    made.file("qos", "".join(f"tn-{one}|DenyOnLimit||0|0||tenure:here\n" for one in (ONE, TWO)))
    made.file("assoc", "".join(f"tn-{one}|tn-{one}|tn-{one}|0\n" for one in (ONE, TWO)))
    made.queue()
    made.file("books", "")
    made.file("reservations", "")
    return made


def specs(account: str, **changes: Any) -> spec.Spec:
    sizes = {"containers": 2, "cpu_milli": 2000, "memory": 512 << 20, "pids": 100, "storage": 1 << 30, "rate": 10**6}
    return spec.Spec(account, **{**sizes, "egress": 1 << 30, **changes})


@pytest.mark.parametrize("state", ["PENDING", "RUNNING", "SUSPENDED", "CONFIGURING"])
def test_only_the_account_whose_job_stays_is_not_fenced(faked: Faked, state: str) -> None:
    """Whatever keeps it: it is told of that account, with the job, and of nobody else."""
    faked.queue((ONE, "7", state))
    problems = fence.close(faked.config, [ONE, TWO])
    assert list(problems) == [ONE]
    assert "job 7" in str(problems[ONE])
    assert "7" in faked.cancelled().split()


def test_a_job_of_which_only_the_rest_is_cleared_up_is_over(faked: Faked) -> None:
    """Slurm's epilog may take its time: no process of the job is left."""
    faked.queue((ONE, "7", "COMPLETING"))
    assert fence.close(faked.config, [ONE, TWO]) == {}
    assert faked.cancelled() == ""


def test_only_the_account_that_may_still_submit_is_not_fenced(faked: Faked) -> None:
    """Its QOS did not take the change."""
    rows = f"tn-{ONE}|DenyOnLimit||2|2||tenure:here\ntn-{TWO}|DenyOnLimit||0|0||tenure:here\n"
    faked.file("qos", rows)
    assert list(fence.close(faked.config, [ONE, TWO])) == [ONE]


def test_a_job_that_stays_keeps_no_other_account_in_slurm(
    faked: Faked, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The books of the other are closed, so that it can go."""
    monkeypatch.setattr(slurm_end, "ENDING", 0.2)
    faked.queue((ONE, "7", "PENDING"))
    assert list(slurm_end.gone(faked.config, [ONE, TWO])) == [ONE]


@pytest.mark.parametrize(("books", "said"), [(RUNS, "not in Slurm's books"), (f"tn-{ONE}|odd\n", "reads as")])
def test_an_end_that_never_comes_into_the_books_keeps_no_other_account(
    faked: Faked, monkeypatch: pytest.MonkeyPatch, books: str, said: str
) -> None:
    """All are asked for in one go, however little time there is; the others' meters are closed."""
    monkeypatch.setattr(slurm_end, "ENDING", 0)
    for one in (ONE, TWO):
        faked.account(one)
    faked.file("books", books)
    problems = slurm_end.gone(faked.config, [ONE, TWO])
    assert list(problems) == [ONE]
    assert said in str(problems[ONE])
    assert [slurm_usage.meter(faked.config, one).exists() for one in (ONE, TWO)] == [False, True]
    assert [f"--accounts=tn-{ONE},tn-{TWO}" in asked.split() for asked in faked.asked()] == [True]


def test_a_closed_meter_is_not_read_again(faked: Faked) -> None:
    """Until the account is made anew: then the books have all of it."""
    account = faked.account(ONE)
    faked.file("books", OVER)
    for _ in range(2):
        assert slurm_end.gone(faked.config, [ONE]) == {}
    assert len(faked.asked()) == 1
    faked.file("assoc", "")
    slurm_jobs.make(faked.config, account)
    assert not slurm_usage.meter(faked.config, ONE).exists()


@pytest.mark.parametrize(("site", "offer", "reservation", "told"), [
    (True, False, "CoreCnt=2 Flags=SPEC_NODES", True), (True, False, "", True),
    (False, True, "CoreCnt=2 Flags=SPEC_NODES", True), (False, True, "", True),
    (False, False, "CoreCnt=4 Flags=ANY_NODES", False), (False, False, "", False),
    (True, False, "CoreCnt=4 Flags=ANY_NODES", False),
])
def test_whether_cores_are_set_aside_never_changes(
    faked: Faked, site: bool, offer: bool, reservation: str, told: bool
) -> None:
    """Told alike before and after the end, whether offer or site says so, and while that changes at the site."""
    host = replace(faked.config, slurm=replace(slurm.of(faked.config), set_aside=site))
    faked.file("assoc", f"tn-{ONE}|tn-{ONE}|tn-{ONE}|0\n")
    faked.file("reservations", RESERVED + reservation + "\n" if reservation else "")
    seen = slurm_jobs.observe(host, spec.Account(specs(ONE, set_aside=offer), faked.uids[ONE], 0))
    assert seen is not None
    assert seen["set_aside"] is told


def test_jobs_are_known_by_uid(faked: Faked) -> None:
    """A user that the host has no more still has them; one of somebody else's in an account of that name is theirs."""
    faked.file("queue", f"{faked.uids[ONE]}|7|RUNNING\n4711|8|RUNNING\n")
    assert slurm.jobs(faked.config, [f"tn-{ONE}"]) == {f"tn-{ONE}": [("7", "RUNNING")]}


def test_the_thread_outlives_whatever_slurm_says(faked: Faked) -> None:
    """A fault that nobody foresaw is said; the account at fault is due again, the other ends."""
    end = Broken(faked.config)
    end.turn([ONE, TWO])
    assert list(end.due) == [ONE]
    assert end.ended == [TWO]


class Broken(cluster.Cluster):
    """Wherever one account is, what nobody expects is raised."""

    def __init__(self, host: config.Config) -> None:
        super().__init__(host)
        self.ended: list[str] = []

    def end(self, batch: list[str]) -> list[str]:
        if ONE in batch:
            raise IndexError("a row that nobody has seen before")
        self.ended += batch
        return []


def test_many_are_ended_in_batches(faked: Faked) -> None:
    """A command line has an end; the next batch follows at once."""
    due = cluster.Cluster(faked.config)
    due.put([f"aaaaaaa{number:03}" for number in range(fence.CHUNK + 3)])
    assert len(due.ready()) == fence.CHUNK


@pytest.mark.parametrize("read", [slurm.number, slurm.memory])
def test_what_is_no_number_is_asked_again(read: Callable[[str], int | None]) -> None:
    """Said as something to try again, not raised as if the program were wrong."""
    with pytest.raises(Later, match="N/A"):
        read("N/A")


def test_an_odd_row_of_the_queue_is_asked_again(faked: Faked) -> None:
    """Whose jobs there are is then not known."""
    faked.file("queue", "slurm_load_jobs: odd\n")
    with pytest.raises(Later, match="squeue: reads as"):
        slurm.jobs(faked.config, [f"tn-{ONE}"])


def test_the_books_are_read_from_the_lease_on(faked: Faked) -> None:
    """A cluster's books reach back for years, and nobody's patience does."""
    account, opened = ONE, 1_795_000_000.0
    lease.arm(faked.config, account, opened + 600, 1, opened)
    lease.open_logins(faked.config, account, 300, 1, opened)
    assert slurm_usage.runs(faked.config, account) == []
    assert "--starttime=2026-11-17T11:06:40" in faked.asked()[0].split()


@pytest.mark.parametrize(("said", "known"), [("No such file or directory", True), ("Operation not permitted", False)])
def test_a_listing_of_jobs_traffic_that_fails_is_not_empty(faked: Faked, said: str, known: bool) -> None:
    """A map that is not there names nobody; whatever else nft says leaves it open."""
    (faked.folder / "nft").write_text(f"#!/bin/sh\necho 'Error: {said}' >&2\nexit 1\n")
    (faked.folder / "nft").chmod(0o755)
    with contextlib.nullcontext() if known else pytest.raises(Later, match="nft list map"):
        assert slurm_network.traces(faked.config, ONE) == []


@pytest.mark.parametrize("text", [
    "ClusterName=c1", "# ClusterName=old\nclustername = C1", 'SlurmUser=s ClusterName="c1"',
])
def test_the_cluster_s_name_is_slurm_conf_s(faked: Faked, text: str) -> None:
    """However it is written; Slurm has it in small letters."""
    slurm.of(faked.config).conf.write_text(f"{text}\nSlurmctldHost=h\n")
    assert slurm.cluster(faked.config) == "c1"
