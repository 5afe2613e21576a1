"""The demo's parts on a real Slurm cluster of one node; what is the same on every host comes from `tests.demo.acts`."""

import hashlib
import subprocess
import time
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.demo import acts, probes
from tests.demo.acts import Opened
from tests.demo.report import Report
from tests.demo.world import BRIEF, TRIAL, World
from tests.drive import STARTING, until
from tests.lab import slurm
from tests.lab.lab import Lab
from tests.lab.slurm import SlurmLab
from tests.lab.tenured import offer_document

TITLE = "on a real Slurm cluster (network namespace, slurmctld, slurmdbd, MariaDB, munge, slurmd, sshd, btrfs)"
ONE_CHIP = {"gpu": 1}
OFFERS = [
    offer_document("trial", TRIAL, chips=ONE_CHIP),
    offer_document("metered", TRIAL, network={"rate": "20Mbit/s", "egress": "5MiB"}),
    offer_document("short", BRIEF, grace="30s", chips=ONE_CHIP),
    offer_document("rental", timedelta(hours=24), storage="96MiB", memory="512MiB", chips={"gpu": 2},
                   network={"rate": "50Mbit/s", "egress": "1GiB"}, grace="1h"),
]  # fmt: skip
STUBBORN = "trap \"\" TERM INT; while :; do sleep 1; done"


def lab(name: str) -> Lab:
    return SlurmLab(name)


def both(world: World, report: Report) -> None:
    """The whole demo in order."""
    report.act(1, "A redeemed voucher becomes an account of the cluster")
    first = redeem(world, report, "trial", "first")
    uid = probes.uid_of(first.id)
    report.act(2, "Every limit holds")
    limits(report, first)
    acts.network(world, report, redeem(world, report, "metered", "second"))
    report.act(3, "The end, with Tenure dead")
    end_alone(world, report, first)
    report.act(4, "Tenure comes back: everything is taken away, and proven")
    acts.reclaim(world, report, first, uid)
    emptied(world, report, first)
    report.act(5, "An account becomes a rental contract, in place, with a job running through it")
    convert(world, report, redeem(world, report, "short", "third"))


def redeem(world: World, report: Report, offer: str, name: str) -> Opened:
    """1: a signed redemption becomes an account whose holder runs a job."""
    opened = acts.admitted(world, report, offer, name)
    with report.step("`srun` from that login: a job answers") as step:
        ran = opened.holder.ssh("srun", "id", "-un")
        said = (ran.stdout + ran.stderr).decode().strip()
        step.must(ran.stdout.strip() == f"tn-{opened.id}".encode(), said)
        step.saw(f"redeemed → job's first output: {time.monotonic() - opened.redeemed:.2f} s")
    return opened


def limits(report: Report, opened: Opened) -> None:
    """2: Slurm refuses one more of anything, and storage is as exact as on any host."""
    for what, words in (
        ("a core more than the offer's", ["--ntasks=2"]),
        ("an accelerator more", ["--gres=gpu:2"]),
        ("an accelerator of another kind", ["--gres=npu:1"]),
        ("a MiB more", ["--mem=257M"]),
    ):
        with report.step(f"a job that asks for {what}") as step:
            ran = opened.holder.ssh("sbatch", *words, "--wrap", "true")
            step.must(ran.returncode != 0, f"refused: {ran.stderr.decode().strip().splitlines()[-1]}")
    with report.step("jobs: two are the offer, a third is asked for") as step:
        for _ in range(2):
            ran = opened.holder.ssh("sbatch", "-o", "/dev/null", "--wrap", "'sleep 300'")
            step.must(ran.returncode == 0, (ran.stdout + ran.stderr).decode().strip())
        ran = opened.holder.ssh("sbatch", "--wrap", "true")
        step.must(ran.returncode != 0, f"third: refused: {ran.stderr.decode().strip().splitlines()[0]}")
        opened.holder.ssh("scancel", "--me")
    fill = "dd if=/dev/zero of=$HOME/fill bs=4k 2>&1 | tail -n 1; stat -c %s $HOME/fill; rm -f $HOME/fill"
    with report.step("storage: write to home until it fails") as step:
        acts.exact(step, opened.holder.ssh(fill).stdout.decode())


def end_alone(world: World, report: Report, opened: Opened) -> None:
    """3: beside sessions, a job that ignores TERM dies; and Slurm itself refuses what is submitted."""
    with report.step("a job runs that ignores TERM") as step:
        job = submitted(opened, STUBBORN)
        until("the job runs", lambda: shown(world, "job", job, "JobState") == "RUNNING" or None, within=STARTING)
        step.saw(f"job {job}: RUNNING")
    acts.end_alone(world, report, opened)
    with report.step("Slurm's own word about that job and about new ones") as step:
        state = until("the job is over", lambda: over(world, job), within=STARTING)
        step.saw(f"job {job}: {state}")
        uid = str(probes.uid_of(opened.id))
        drop = ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups"]
        words = ["sbatch", "-D", "/", f"--reservation=tn-{opened.id}", "--wrap", "true"]
        argv = [*world.place.inside, *drop, "env", f"SLURM_CONF={slurm.conf(world.place)}", *words]
        ran = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False)
        step.must(ran.returncode != 0, f"submitted past the gate, as its user: {ran.stderr.strip().splitlines()[-1]}")


def emptied(world: World, report: Report, opened: Opened) -> None:
    """4: Slurm's own commands name nothing of it."""
    with report.step("sacctmgr, scontrol and squeue name nothing of it") as step:
        name = f"tn-{opened.id}"
        found = [what for what in ("account", "association", "qos", "user")
                 if name in slurm.inside(world.place, "sacctmgr", "-nP", "list", what)]
        found += ["reservation"] if name in slurm.inside(world.place, "scontrol", "show", "reservation") else []
        found += ["job"] if name in slurm.inside(world.place, "squeue", "-h", "-o", "%a") else []
        step.must(not found, ", ".join(found) or "nothing")


def convert(world: World, report: Report, opened: Opened) -> None:
    """5: limits grow and the end moves while a job runs; it is the same job after the old end."""
    with report.step("before: a running job") as step:
        job = submitted(opened, "sleep 100000")
        until("the job runs", lambda: shown(world, "job", job, "JobState") == "RUNNING" or None, within=STARTING)
        started = shown(world, "job", job, "StartTime")
        step.saw(f"job {job} since {started}")
    with report.step("the end is moved near; tenure account convert: refresh, preview, arm, converge") as step:
        opened.bring_nearer(world, report, 6)
        document = hashlib.sha256(b"the signed paper").hexdigest()
        at = (datetime.now(UTC) + timedelta(hours=2)).isoformat()
        done = world.tenure.cli("account", "convert", opened.id, "--contract", "C-2026-001", "--offer", "rental",
                                "--until", at, "--document", document, "--yes", "--wait", f"{STARTING}s")
        changes: list[dict[str, Any]] = done.get("changes", [])
        bad = [one for one in changes if one["op"] not in ("same", "update", "refresh")]
        step.must(not bad, f"preview: {', '.join(one['part'] + ' ' + one['op'] for one in changes) or 'no change'}")
        world.tenure.wait(opened.id, {"CONTRACTED"}, world.token, within=STARTING)
        report.until = None
    with report.step(f"the old end ({opened.ends_at:%H:%M:%S}) passes") as step:
        if (wait := opened.end + 2 - time.time()) > 0:
            time.sleep(wait)
        step.must(shown(world, "job", job, "JobState") == "RUNNING", f"job {job}: RUNNING")
        step.must(shown(world, "job", job, "StartTime") == started, f"since {started}")


def submitted(opened: Opened, script: str) -> str:
    ran = opened.holder.ssh("sbatch", "--parsable", "-o", "/dev/null", "--wrap", f"'{script}'")
    assert ran.returncode == 0, ran.stderr.decode()
    return ran.stdout.decode().strip()


def shown(world: World, what: str, name: str, field: str) -> str:
    """One field of what `scontrol show` says."""
    row = slurm.inside(world.place, "scontrol", "-o", "show", what, name, check=False)
    return next((word.partition("=")[2] for word in row.split() if word.startswith(f"{field}=")), "")


def over(world: World, job: str) -> str | None:
    state = shown(world, "job", job, "JobState")
    return state if state not in ("RUNNING", "COMPLETING", "PENDING") else None
