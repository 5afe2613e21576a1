"""Accounts on a real Slurm cluster: limits, ends, and what is left, with Slurm's daemons up and down."""

import os
import re
import subprocess
import time
from collections.abc import Iterator

import pytest

from tests.demo.probes import Sink
from tests.lab import slurm
from tests.lab.accounts import MIB, Tenant, clean, new_id, spec
from tests.lab.client import Answered, Client
from tests.lab.fixtures import standing
from tests.lab.shell import run, stop
from tests.lab.slurm import SlurmLab
from tests.providers import slurm_world as world
from tests.providers.slurm_world import STUBBORN, Make, until


@pytest.fixture(scope="module")
def lab() -> Iterator[SlurmLab]:
    with standing(SlurmLab(f"slt{os.getpid()}")) as one:
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


@pytest.fixture
def neighbour(lab: SlurmLab) -> Iterator[tuple[str, str]]:
    """Another tenant of the same cluster, none of Tenure's: their name and their running job."""
    place = lab.place
    name = f"other{place.number}"
    run(["useradd", "-M", "-u", str(place.uid_max), "-U", "-s", "/bin/sh", name])
    for words in (
        ["add", "account", name, "Description=physics"],
        ["add", "qos", name, "GrpTRES=cpu=1"],
        ["add", "user", name, f"account={name}", f"QOS={name}", f"DefaultQOS={name}"],
    ):
        slurm.inside(place, "sacctmgr", "-i", *words)
    drop = ["setpriv", f"--reuid={place.uid_max}", f"--regid={place.uid_max}", "--clear-groups"]
    said = slurm.inside(place, *drop, "sbatch", "-D", "/", "-o", "/dev/null", "--wrap", "sleep 3000")
    job = said.split()[-1]
    until("the neighbour's job runs", lambda: world.state(place, job) == "RUNNING")
    yield name, job
    slurm.inside(place, "scancel", job)
    until("the neighbour's job ends", lambda: not slurm.inside(place, "squeue", "-h", "-u", name).strip())
    for words in (["user", name], ["account", name], ["qos", name]):
        slurm.inside(place, "sacctmgr", "-i", "delete", *words)
    run(["userdel", name])


def test_a_job_within_the_limits_runs(tenant: Make) -> None:
    """Submitted from the confined login, under the holder's uid, with its output in their home."""
    one = tenant()
    job = world.submit(one, "id -u; echo $SLURM_JOB_ACCOUNT", "-o", "out")
    until("the job ends", lambda: world.state(one.place, job) == "COMPLETED")
    assert one.login("cat out").stdout.split() == [str(one.uid), one.user]


def test_a_step_answers_in_the_login(tenant: Make) -> None:
    """srun, with its output in the terminal; what was said is what the job says."""
    assert tenant().login("srun --gres=gpu:1 id -un").stdout.strip().startswith("tn-a")


@pytest.mark.parametrize("more", ["--ntasks=2", "--gres=gpu:2", "--gres=mlu:1", "--mem=257M"])
def test_one_more_of_anything_is_refused(tenant: Make, more: str) -> None:
    """One core, one accelerator of the kind given, one of another kind, one MiB."""
    ran = world.sbatch(tenant(), "true", more)
    assert ran.returncode != 0
    assert "violates accounting/QOS policy" in ran.stderr


def test_one_job_more_is_refused(tenant: Make) -> None:
    """The offer's number of containers is that of jobs."""
    one = tenant()
    for _ in range(2):
        world.submit(one, "sleep 300", "-o", "/dev/null")
    ran = world.sbatch(one, "true")
    assert ran.returncode != 0
    assert "QOS" in ran.stderr


def test_jobs_cannot_leave_the_reservation(tenant: Make) -> None:
    """It ends with the lease, so nothing may run outside of it."""
    ran = tenant().login("env -u SBATCH_RESERVATION sbatch --wrap true")
    assert ran.returncode != 0


def test_nothing_is_submitted_before_logins_open(lab: SlurmLab, client: Client) -> None:
    """Complete is not open: Slurm itself refuses the account's user."""
    one = world.tenant(lab.place, client)
    try:
        drop = ["setpriv", f"--reuid={one.uid}", f"--regid={one.uid}", "--clear-groups"]
        words = ["sbatch", "-D", "/", f"--reservation={one.user}", "-o", "/dev/null", "--wrap", "true"]
        with pytest.raises(RuntimeError, match="violates accounting/QOS policy"):
            slurm.inside(lab.place, *drop, *words)
    finally:
        one.clean()


def test_at_the_end_everything_stops_by_itself(tenant: Make) -> None:
    """Nobody but the site acts: a job that ignores TERM and a session die, and Slurm refuses what is submitted. It was
    not Slurm's own timer, which takes up to 26 s, that ended the job: such a one is said to be out of time."""
    one = tenant(12)
    job = world.running(one, STUBBORN, "-o", "/dev/null")
    with subprocess.Popen([*one.ssh(), "sleep 1000"], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as session:
        until("the end", lambda: time.time() >= one.ends_at)
        until("no process is left", lambda: not world.processes(one.uid))
        assert session.wait(20) != 0
    until("the job is over", lambda: world.state(one.place, job) not in ("RUNNING", "COMPLETING"))
    assert world.state(one.place, job) in ("CANCELLED", "FAILED")
    until("nothing may be submitted", lambda: world.rows(one.place, "qos", "grpsubmit", f"name={one.user}") == ["0"])
    drop = ["setpriv", f"--reuid={one.uid}", f"--regid={one.uid}", "--clear-groups"]
    words = ["sbatch", "-D", "/", f"--reservation={one.user}", "-o", "/dev/null", "--wrap", "true"]
    argv = [*one.place.inside, *drop, "env", f"SLURM_CONF={slurm.conf(one.place)}", *words]

    def answered() -> str:
        """What Slurm says to the account's user, unless the site's own hand was quicker and killed who asked."""
        ran = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False)
        return ran.stdout + ran.stderr

    assert "Batch job submission failed" in until("Slurm answers", answered)


def test_the_reservation_ends_with_the_lease(tenant: Make, client: Client) -> None:
    """And moves with it, so that Slurm refuses and kills even without the reaper."""
    one = tenant(300)
    end = time.time() + 4000
    client.call("arm", account=one.id, end=end, generation=2)
    one.generation = 2
    told = time.strftime("%Y-%m-%dT%H:%M", time.gmtime(end + 1))
    seen = slurm.inside(one.place, "env", "TZ=UTC", "scontrol", "show", "reservation", one.user)
    assert f"EndTime={told}" in seen


def test_capacity_set_aside_is_nobody_elses(tenant: Make, lab: SlurmLab, neighbour: tuple[str, str]) -> None:
    """Its core stays free for the account: a job of others that wants all the rest and it waits, the account's runs."""
    name, _ = neighbour
    one = tenant(set_aside=True)
    shown = slurm.inside(one.place, "scontrol", "--oneliner", "show", "reservation", one.user)
    assert "CoreCnt=1" in shown
    assert "ANY_NODES" not in shown
    cores = re.search(r"CPUTot=(\d+)", slurm.inside(one.place, "scontrol", "--oneliner", "show", "node"))
    assert cores
    slurm.inside(lab.place, "sacctmgr", "-i", "modify", "qos", name, "set", "GrpTRES=cpu=-1")
    drop = ["setpriv", f"--reuid={lab.place.uid_max}", f"--regid={lab.place.uid_max}", "--clear-groups"]
    words = ["sbatch", "-D", "/", f"--ntasks={int(cores[1]) - 1}", "-o", "/dev/null", "--wrap", "sleep 300"]
    greedy = slurm.inside(lab.place, *drop, *words).split()[-1]
    try:
        world.running(one, "sleep 300", "-o", "/dev/null")
        assert world.state(lab.place, greedy) == "PENDING"
    finally:
        slurm.inside(lab.place, "scancel", greedy)


def test_a_fence_takes_jobs_and_submits(tenant: Make) -> None:
    """By an operator, long before the end."""
    one = tenant()
    world.running(one, STUBBORN, "-o", "/dev/null")
    assert "at" in one.fence()
    assert world.processes(one.uid) == []
    assert world.rows(one.place, "assoc", "maxsubmit", f"user={one.user}") == ["0"]


def test_an_account_runs_jobs_again_after_a_lifted_fence(tenant: Make, client: Client) -> None:
    """With all of its limits."""
    one = tenant()
    one.fence()
    one.generation += 1
    client.call("unfence", account=one.id, end=time.time() + 600, generation=one.generation)
    client.call("principal", account=one.id, principal=one.id, expires=time.time() + 600)
    assert world.sbatch(one, "true", "--ntasks=2").returncode != 0
    world.running(one, "sleep 100", "-o", "/dev/null")


def test_slurmctld_is_away_at_the_end_and_comes_back(tenant: Make, lab: SlurmLab) -> None:
    """The job's processes die all the same, and the reaper sees the rest through."""
    one = tenant(15)
    job = world.running(one, STUBBORN, "-o", "/dev/null")
    stop(lab.place, "slurmctld")
    try:
        until("the end", lambda: time.time() >= one.ends_at)
        until("no process is left", lambda: not world.processes(one.uid))
    finally:
        slurm.slurmctld(lab.place)
    until("the job is over", lambda: world.state(one.place, job) in ("CANCELLED", "FAILED", "TIMEOUT", "NODE_FAIL", ""))
    until("nothing may be submitted", lambda: world.rows(one.place, "qos", "grpsubmit", f"name={one.user}") == ["0"])


def test_slurmdbd_is_away_while_provisioning(lab: SlurmLab, client: Client) -> None:
    """Said as something to try again, and done when it is back."""
    one = Tenant(lab.place, client, spec(new_id(), **world.SMALL))
    client.call("arm", account=one.id, end=time.time() + 600, generation=1)
    stop(lab.place, "slurmdbd")
    try:
        with pytest.raises(Answered, match="later"):
            client.call("ensure", part="account", spec=one.spec)
    finally:
        slurm.slurmdbd(lab.place)
    one.make().open()
    assert one.login("sbatch --test-only --wrap true").returncode == 0
    one.clean()


@pytest.mark.parametrize(("part", "made", "taken"), [
    ("account", ["add", "account", "{}", "Description=physics"], ["delete", "account", "{}"]),
    ("containers", ["add", "qos", "{}", "Description=physics"], ["delete", "qos", "{}"]),
])
def test_a_name_that_is_taken_is_left_alone(
    lab: SlurmLab, client: Client, part: str, made: list[str], taken: list[str]
) -> None:
    """Somebody else's account or QOS of the same name: said, never changed, never removed."""
    one = Tenant(lab.place, client, spec(new_id(), **world.SMALL))
    kind = made[1]
    slurm.inside(lab.place, "sacctmgr", "-i", *(word.format(one.user) for word in made))
    before = world.rows(lab.place, kind, "name" if kind == "qos" else "account,descr", f"name={one.user}")
    with pytest.raises(Answered, match="is not ours"):
        one.make()
    one.clean()
    assert before
    assert world.rows(lab.place, kind, "name" if kind == "qos" else "account,descr", f"name={one.user}") == before
    slurm.inside(lab.place, "sacctmgr", "-i", *(word.format(one.user) for word in taken))


def test_all_of_it_is_listed_until_it_is_gone(tenant: Make) -> None:
    """Jobs, association, QOS, reservation, account; then nothing, as Slurm's own commands say too."""
    one = tenant()
    world.running(one, "sleep 500", "-o", "/dev/null")
    said = " ".join(what for kind, what in one.leftovers() if kind == "slurm")
    for thing in ("job ", "association ", "QOS ", "reservation ", "account "):
        assert thing in said
    one.clean()
    assert one.leftovers() == []
    for what, name in (("account", "account"), ("assoc", "account"), ("qos", "name"), ("user", "user")):
        assert one.user not in world.rows(one.place, what, name)
    assert one.user not in slurm.inside(one.place, "scontrol", "-o", "show", "reservation")


def test_a_job_runs_through_a_conversion(tenant: Make, client: Client) -> None:
    """Larger limits and a later end, in place: the same job goes on, past the old end."""
    one = tenant(14)
    job = world.running(one, "sleep 500", "-o", "/dev/null")
    one.spec |= {"containers": 3, "memory": 512 * MIB, "accelerators": {"gpu": 2}}
    one.generation = 2
    client.call("arm", account=one.id, end=time.time() + 3600, generation=2)
    before = dict(one.facts["containers"])
    for part in ("account", "storage", "network", "containers", "access"):
        one.facts[part] = client.call("ensure", part=part, spec=one.spec)
    assert one.facts["containers"]["qos"] == before["qos"]
    assert "gres/gpu=2" in one.facts["containers"]["tres"]
    until("the old end", lambda: time.time() > one.ends_at + 1)
    assert world.state(one.place, job) == "RUNNING"


def test_other_tenants_are_never_touched(tenant: Make, neighbour: tuple[str, str]) -> None:
    """Their account, limits, association and running job are the same after ours was fenced and cleaned away."""
    name, job = neighbour
    one = tenant()

    def theirs() -> list[list[str]]:
        return [
            world.rows(one.place, "account", "account,descr,org", f"name={name}"),
            world.rows(one.place, "qos", "name,grptres,grpsubmit,flags", f"name={name}"),
            world.rows(one.place, "assoc", "account,user,qos,maxsubmit", f"user={name}"),
            world.rows(one.place, "assoc", "account,user,qos,maxsubmit", "account=root"),
            [world.state(one.place, job)],
        ]

    before = theirs()
    assert before[-1] == ["RUNNING"]
    world.submit(one, "sleep 100", "-o", "/dev/null")
    one.fence()
    assert theirs() == before
    one.clean()
    assert theirs() == before


def test_a_killed_job_is_metered(tenant: Make, client: Client) -> None:
    """Read from Slurm's books before the association goes; what is told afterwards is the same."""
    one = tenant()
    world.running(one, STUBBORN, "-o", "/dev/null", "--gres=gpu:1", "--mem=64M")
    world.until("two seconds of it", lambda: one.used("chip:gpu") >= 2000)
    one.fence()
    client.call("remove", part="access", spec=one.spec)
    client.call("remove", part="containers", spec=one.spec)
    told = {meter: one.used(meter) for meter in ("cpu", "memory", "chip:gpu")}
    assert told["chip:gpu"] >= 1000
    assert told["cpu"] >= told["chip:gpu"]
    assert told["memory"] >= 64 * MIB * (told["chip:gpu"] // 1000)
    client.call("remove", part="containers", spec=one.spec)
    assert one.used("chip:gpu") == told["chip:gpu"]


def test_a_job_s_seconds_are_those_of_slurm_s_books(tenant: Make, lab: SlurmLab) -> None:
    """Cores times the time it took, whatever it burnt; of a chip that it had none of, 0."""
    one = tenant()
    world.submit(one, "sleep 2", "-o", "/dev/null", "--gres=gpu:1")
    # by the account, as a cluster made anew gives the numbers of jobs again that are in the books already
    argv = ["sacct", "-n", "-P", "-X", "-A", one.user, "--format=state,elapsedraw"]
    row = world.until("the job's end in the books", lambda: [
        line for line in slurm.inside(lab.place, *argv, check=False).split() if line.startswith("COMPLETED")])
    assert one.used("chip:gpu") == int(row[0].split("|")[1]) * 1000
    assert one.used("chip:ascend-910b") == 0


def test_chips_that_were_never_used_are_no_gap(tenant: Make, client: Client) -> None:
    """Slurm's books say that there was no job: 0 in every hour, for the chips that the account may have."""
    one = tenant()
    assert [row["amounts"].get("chip:gpu") for row in one.usage()] == [0] * len(one.usage())
    one.fence()
    client.call("remove", part="containers", spec=one.spec)
    assert one.usage()[0]["amounts"]["chip:gpu"] == 0


def test_many_are_fenced_in_one_call(lab: SlurmLab, client: Client) -> None:
    """One answer each; nobody may submit afterwards."""
    many = [world.tenant(lab.place, client).open() for _ in range(4)]
    answers = client.call("fence", batch=[[one.id, 2] for one in many], by="operator")
    assert [sorted(answer) for answer in answers] == [["account", "at"]] * 4
    asked = ",".join(one.user for one in many)
    assert world.rows(lab.place, "qos", "grpsubmit", f"name={asked}") == ["0"] * 4
    for one in many:
        one.generation = 2
        one.clean()
        assert one.leftovers() == []


def test_the_site_says_that_slurm_is_fit(client: Client) -> None:
    """Each daemon and each setting that limits rely on."""
    found = {one["subject"]: one["ok"] for one in client.call("check")}
    wanted = {"slurmctld", "slurmdbd", "munge", "AccountingStorageEnforce", "AccountingStorageTRES", "licence tenure"}
    assert {name: found.get(name) for name in wanted} == dict.fromkeys(wanted, True)


def test_containers_are_not_for_this_site(tenant: Make) -> None:
    """Said in a sentence that names what is."""
    ran = tenant().login("container run localhost/busybox:1")
    assert ran.returncode != 0
    assert "sbatch" in ran.stderr


def test_what_a_job_sends_is_cut_at_the_account_s_quota(tenant: Make) -> None:
    """Jobs run in the node's own network; their egress counts with that of logins, and stops at the offer's."""
    one = tenant(egress=2 * MIB)
    sink = Sink(one.place)
    port, address = sink.port, one.place.machine_address
    script = f"timeout 8 head -c 8388608 /dev/zero > /dev/tcp/{address}/{port}"
    job = world.submit(one, f'bash -c "{script}"', "-o", "/dev/null")
    until("something arrives", lambda: sink.received)
    until("the job ends", lambda: world.state(one.place, job) in ("COMPLETED", "FAILED"))
    sink.close()
    assert MIB < sink.received <= 2 * MIB


def test_many_accounts_go_in_one_call(lab: SlurmLab, client: Client, neighbour: tuple[str, str]) -> None:
    """Twelve, each with a job: one request, one removal in Slurm's own book of changes, and nothing of them is left.
    The neighbour stays."""
    name, job = neighbour
    made = [world.tenant(lab.place, client).open(600) for _ in range(12)]
    for one in made:
        world.submit(one, "sleep 1000", "-o", "/dev/null")
    client.call("fence", batch=[[one.id, one.generation] for one in made], by="operator")
    removed = world.removals(lab.place)
    clean(client, *((one.id, one.generation) for one in made))
    assert [one.leftovers() for one in made] == [[]] * 12
    assert world.removals(lab.place) == removed + 1
    assert world.state(lab.place, job) == "RUNNING"
    assert world.rows(lab.place, "qos", "name", f"name={name}") == [name]


def test_one_stubborn_account_of_a_batch_keeps_no_other(lab: SlurmLab, client: Client) -> None:
    """One is in use again and refused; the other is gone all the same."""
    used, done = (world.tenant(lab.place, client).open(600) for _ in range(2))
    done.fence()
    done.generation += 1
    rows = client.call("clean", batch=[[one.id, one.generation] for one in (used, done)])
    assert [row.get("clean", row.get("error", {}).get("kind")) for row in rows] == ["refused", True]
    assert done.leftovers() == []
    used.clean()
