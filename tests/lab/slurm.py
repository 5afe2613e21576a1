"""A small real Slurm cluster at a lab's site: munge, MariaDB, slurmdbd, slurmctld and one slurmd, in the site's network
namespace. The lab's reaper and gate then act on Slurm too."""

import json
import os
import pwd
import shutil
import socket
from collections.abc import Callable
from pathlib import Path

from tests.lab.lab import Lab
from tests.lab.place import Place, Unfit, find
from tests.lab.shell import pid_of, run, start, stop, until
from tests.lab.slurm_files import render

DAEMONS = ("slurmd", "slurmctld", "slurmdbd", "mariadbd", "munged")
"""In the order in which they stop."""
PROGRAMS = {
    "munged": "munge",
    "mariadbd": "mariadb-server",
    "slurmdbd": "slurmdbd",
    "slurmctld": "slurmctld",
    "slurmd": "slurmd",
    "sacctmgr": "slurm-client",
}


def top(place: Place) -> Path:
    """Everything of the cluster's."""
    return place.path("slurm")


def conf(place: Place) -> Path:
    return top(place) / "etc" / "slurm.conf"


def socket_of_munge(place: Place) -> Path:
    return top(place) / "munge" / "munge.socket"


def inside(place: Place, *argv: str, check: bool = True, timeout: float = 30) -> str:
    """A Slurm command as root at the site."""
    return run([*place.inside, "env", f"SLURM_CONF={conf(place)}", *argv], check=check, timeout=timeout)


def described(place: Place) -> dict[str, object]:
    """The cluster as the site's settings describe it."""
    return {
        "conf": str(conf(place)),
        "munge": str(socket_of_munge(place)),
        "licence": "tenure",
        "chips": {"gpu": "gpu", "mlu": "mlu", "ascend-910b": "npu"},
    }


class SlurmLab(Lab):
    """A lab whose host is a Slurm cluster of one node as well."""

    def bare(self, say: Callable[[str], None] = lambda text: None, *more: Callable[[Place], None]) -> Place:
        place = super().bare(say, *more)
        cluster(place)
        place.path("slurm.json").write_text(json.dumps(described(place)))
        say("slurm")
        return place

    def down(self) -> None:
        place = find(self.name)
        if place is not None and conf(place).exists():
            end_jobs(place)
        super().down()

    def before_wipe(self, place: Place) -> None:
        for daemon in DAEMONS:
            stop(place, daemon)
        remove_cgroups(place)


def of(name: str) -> Lab:
    """The lab of this name, whichever kind it was brought up as."""
    place = find(name)
    return SlurmLab(name) if place is not None and top(place).exists() else Lab(name)


def cluster(place: Place) -> None:
    """Bring up what is not up; up-to-date it takes a moment."""
    fit()
    folders(place)
    render(place, top(place))
    munged(place)
    mariadb(place)
    slurmdbd(place)
    slurmctld(place)
    slurmd(place)


def fit() -> None:
    path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    missing = sorted({package for name, package in PROGRAMS.items() if not shutil.which(name, path=path)})
    if missing:
        raise Unfit(f"The Slurm lab needs these Debian packages: {' '.join(missing)}.")


def folders(place: Place) -> None:
    """Each daemon's own; the sockets' folders are open to look through."""
    owners = {"munge": "munge", "mysql": "mysql", "ctld": "slurm", "slurmd": "root", "etc": "root", "log": "slurm"}
    for name, owner in owners.items():
        folder, user = top(place) / name, pwd.getpwnam(owner)
        folder.mkdir(parents=True, exist_ok=True)
        os.chown(folder, user.pw_uid, user.pw_gid)
        folder.chmod(0o755)
    # loopback's delayed acknowledgements would cost each change of accounting half a second
    for route in (f"local {place.address} dev {place.inner}", "local 127.0.0.1 dev lo"):
        words = [*route.split(), "table", "local", "proto", "kernel", "scope", "host", "quickack", "1"]
        run(["ip", "-n", place.netns, "route", "replace", *words])
    key = top(place) / "etc" / "munge.key"
    if not key.exists():
        key.write_bytes(os.urandom(1024))
        key.chmod(0o400)
        shutil.chown(key, "munge")


def as_user(user: str) -> list[str]:
    return ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups"]


def munged(place: Place) -> None:
    folder = top(place) / "munge"
    if pid_of(place, "munged") is None:
        for stale in folder.glob("munge.socket*"):
            stale.unlink()
    files = ["--key-file", top(place) / "etc" / "munge.key", "--socket", socket_of_munge(place)]
    files += ["--pid-file", folder / "munged.pid", "--log-file", folder / "log", "--seed-file", folder / "seed"]
    start(place, "munged", [*as_user("munge"), "munged", "--foreground", "--force", *map(str, files)])
    ask = ["munge", "-S", str(socket_of_munge(place)), "--no-input", "--output", "/dev/null"]
    until(lambda: socket_of_munge(place).exists() and succeeds(ask), "munge")


def mariadb(place: Place) -> None:
    data = top(place) / "mysql"
    mine = ["--no-defaults", f"--datadir={data}"]
    if not (data / "mysql").exists():
        how = ["--user=mysql", "--auth-root-authentication-method=socket", "--skip-test-db"]
        run(["mariadb-install-db", *mine, *how])
    options = ["--user=mysql", f"--socket={data}/sock", "--skip-networking", "--innodb-buffer-pool-size=64M"]
    options += ["--innodb-log-file-size=64M", "--innodb-lock-wait-timeout=900", "--innodb-flush-log-at-trx-commit=2"]
    start(place, "mariadbd", ["mariadbd", *mine, *options, "--skip-log-bin", f"--pid-file={data}/pid"])
    client = ["mariadb", "--no-defaults", f"--socket={data}/sock", "--user=root"]
    until(lambda: succeeds([*client, "--execute", "select 1"]), "MariaDB")
    made = "create database if not exists slurm"
    made += "; create user if not exists 'slurm'@'localhost' identified via unix_socket"
    run([*client, "--execute", f"{made}; grant all on slurm.* to 'slurm'@'localhost'"])


def slurmdbd(place: Place) -> None:
    run_daemon(place, "slurmdbd", "slurm", {"MYSQL_UNIX_PORT": str(top(place) / "mysql" / "sock")})
    name = cluster_name(place)
    until(lambda: name in inside(place, "sacctmgr", "-n", "-i", "add", "cluster", name, check=False)
          + inside(place, "sacctmgr", "-n", "-P", "list", "cluster", check=False), "slurmdbd")


def slurmctld(place: Place) -> None:
    run_daemon(place, "slurmctld", "slurm")
    until(lambda: " UP" in inside(place, "scontrol", "ping", check=False), "slurmctld")


def slurmd(place: Place) -> None:
    run_daemon(place, "slurmd", "root")
    until(lambda: "idle" in inside(place, "sinfo", "-h", "-o", "%T", check=False), "slurmd")


def run_daemon(place: Place, name: str, user: str, more: dict[str, str] | None = None) -> None:
    words = [] if user == "root" else as_user(user)
    start(place, name, [*words, name, "-D"], {"SLURM_CONF": str(conf(place)), **(more or {})})


def cluster_name(place: Place) -> str:
    return f"lab{place.number}"


def succeeds(argv: list[str]) -> bool:
    try:
        run(argv, timeout=10)
    except RuntimeError:
        return False
    return True


def end_jobs(place: Place) -> None:
    """Whatever still runs on the cluster, whoever's it is: the cluster is the lab's alone."""
    if pid_of(place, "slurmctld") is None:
        return
    for job in inside(place, "squeue", "-h", "-o", "%A", check=False).split():
        inside(place, "scancel", "--full", "--signal=KILL", job, check=False)
        inside(place, "scancel", job, check=False)
    until(lambda: not inside(place, "squeue", "-h", check=False).strip(), "the cluster's jobs to end", 60)


def node(place: Place) -> str:
    return f"n{place.number}"


def host() -> str:
    return socket.gethostname().split(".")[0]


def remove_cgroups(place: Place) -> None:
    """slurmd leaves its cgroups behind."""
    for root in Path("/sys/fs/cgroup").iterdir():
        for folder, _, _ in os.walk(root / f"slurm_{node(place)}", topdown=False):
            Path(folder).rmdir()
