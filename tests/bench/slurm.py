"""Redeemed → usable on a real Slurm cluster beside the same by hand; fence and reclaim; 100 accounts ending at once.

    python -m tests.bench.slurm [--count 8] [--many 8] [--ending 100]
"""

import argparse
import concurrent.futures
import shutil
import tempfile
import time
from pathlib import Path

from providers.host.wire import CLEANED
from tests.bench import byhand, linux
from tests.demo import slurm as demo
from tests.demo import world as stage
from tests.drive import Holder
from tests.lab import slurm
from tests.lab.accounts import MIB, Tenant, clean, new_id, spec
from tests.lab.client import Answered, Client
from tests.lab.place import Place
from tests.lab.slurm import SlurmLab

MAKE = r"""
set -e
export SLURM_CONF=$3
useradd -M -u $2 -U -s /bin/sh -p '*' $1
sacctmgr -i add account $1 >/dev/null
sacctmgr -i add qos $1 Flags=DenyOnLimit,NoDecay,RequiresReservation GrpTRES=cpu=1,mem=256,gres/gpu=1 GrpJobs=2 \
    GrpSubmitJobs=2 GrpTRESMins=cpu=1440 >/dev/null
sacctmgr -i add user $1 account=$1 QOS=$1 DefaultQOS=$1 >/dev/null
scontrol create reservation ReservationName=$1 Users=$1 StartTime=now EndTime=now+1days \
    Licenses=tenure:1 Flags=ANY_NODES
"""
FENCE = r"""
export SLURM_CONF=$3
sacctmgr -i modify qos where name=$1 set GrpSubmitJobs=0 >/dev/null
sacctmgr -i modify user where name=$1 set MaxSubmitJobs=0 >/dev/null
scancel -u $1
"""
REMOVE = r"""
export SLURM_CONF=$3
scontrol delete ReservationName=$1
sacctmgr -i delete user $1 >/dev/null; sacctmgr -i delete account $1 >/dev/null; sacctmgr -i delete qos $1 >/dev/null
userdel $1
"""


def floor(place: Place, count: int) -> None:
    """Slurm's part of an account by hand, each act one SSH exec, connection and all; no checks, no proof."""
    rows: dict[str, list[float]] = {"make": [], "fence": [], "remove": []}
    for number in range(count):
        words = [f"hand{number}", str(place.uid_max - number), str(slurm.conf(place))]
        for name, script in (("make", MAKE), ("fence", FENCE), ("remove", REMOVE)):
            rows[name].append(byhand.ssh(place, script, words))
    for name, seconds in rows.items():
        linux.line(f"floor: {name} by hand, one SSH exec", seconds)


def site_alone(place: Place, count: int) -> None:
    """The site's own work, without Tenure and SSH: all five parts, each read back."""
    rows: dict[str, list[float]] = {"made and open": [], "fence": [], "clean": [], "list": []}
    with slurm.SlurmLab(place.name).client() as client:
        for _ in range(count):
            one = Tenant(place, client, spec(new_id(), accelerators={"gpu": 1}))
            for name, act in (("made and open", lambda one=one: one.make().open()), ("fence", one.fence),
                              ("clean", one.clean), ("list", one.leftovers)):
                began = time.monotonic()
                act()
                rows[name].append(time.monotonic() - began)
    for name, seconds in rows.items():
        linux.line(f"the site's program alone: {name}", seconds)


def ending(place: Place, count: int) -> None:
    """So many accounts with a job each, in the queue or running, reach their end in the same instant; only the site
    acts."""
    lab = SlurmLab(place.name)
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda _: opened(lab, place), range(count)))
    end = time.time() + 8
    with lab.client() as client:
        for one in made:
            client.call("arm", account=one.id, end=end, generation=2)
        time.sleep(max(0.0, end - time.time()))
        users = {one.user for one in made}
        uids = {one.uid for one in made}
        at: dict[str, float] = {}
        while len(at) < 3 and time.time() < end + 60:
            note(at, "no process of theirs", not processes(uids))
            rows = slurm.inside(place, "sacctmgr", "-nP", "list", "qos", "format=name,grpsubmit").split()
            note(at, "none may submit", users <= {row.split("|")[0] for row in rows if row.endswith("|0")})
            queued = slurm.inside(place, "squeue", "-h", "-o", "%u %T").splitlines()
            note(at, "no job waits or runs", not any(row.split()[1] != "COMPLETING" for row in queued))
        for what in sorted(at):
            print(f"  {count} ending at once: {what:<27} end {at[what] - end:+.2f} s", flush=True)
        cleaning(client, made)


def cleaning(client: Client, made: list[Tenant]) -> None:
    """As many in a call as Tenure asks for at once; and how many were done in a second."""
    began = time.monotonic()
    for start in range(0, len(made), CLEANED):
        clean(client, *((one.id, 3) for one in made[start : start + CLEANED]))
    took = time.monotonic() - began
    print(f"  {len(made)} cleaned, {CLEANED} in a call: {took:.1f} s, {len(made) / took:.1f} a second", flush=True)


def note(at: dict[str, float], what: str, holds: bool) -> None:
    if holds:
        at.setdefault(what, time.time())


def opened(lab: SlurmLab, place: Place) -> Tenant:
    """An open account with one job, submitted as its user."""
    with lab.client() as client:
        one = made(Tenant(place, client, spec(new_id(), storage=16 * MIB)))
    drop = ["setpriv", f"--reuid={one.uid}", f"--regid={one.uid}", "--clear-groups"]
    script = "trap '' TERM; while :; do sleep 1; done"
    words = ["sbatch", "-D", "/", f"--reservation={one.user}", "-t", "50", "-o", "/dev/null", "--wrap", script]
    slurm.inside(place, *drop, *words)
    return one


def made(one: Tenant) -> Tenant:
    """Open. Asked again when the site says later, as Tenure does: slurmdbd refuses a change now and then."""
    for _ in range(10):
        try:
            return one.make(3600).open(3600)
        except Answered as error:
            if error.kind != "later":
                raise
            print(f"  asked again: {error}", flush=True)
    raise TimeoutError(f"{one.id}: still not made")


def processes(uids: set[int]) -> bool:
    """Whether any process has one of these uids."""
    for status in Path("/proc").glob("[0-9]*"):
        try:
            if status.stat().st_uid in uids and "Z" not in (status / "stat").read_text().rsplit(")", 1)[1].split()[0]:
                return True
        except OSError:
            continue
    return False


def job(holder: Holder) -> None:
    ran = holder.ssh("srun", "echo", "up")
    assert ran.stdout.strip() == b"up", ran.stderr.decode()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=8)
    parser.add_argument("--many", type=int, default=8)
    parser.add_argument("--ending", type=int, default=100)
    options = parser.parse_args()
    print("The Slurm site in the lab")
    lab = SlurmLab("slbench")
    folder = Path(tempfile.mkdtemp(prefix="tenure-bench-"))
    try:
        world = stage.build(folder / "made", lab, demo.OFFERS, serve=False)
        floor(world.place, options.count)
        site_alone(world.place, options.count)
        linux.run(world, options.count, options.many, job)
        ending(world.place, options.ending)
    finally:
        lab.down()
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
