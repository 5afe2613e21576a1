"""Talking to the site's Slurm: sacctmgr, scontrol, squeue and sacct, each read back strictly.

Ours is what bears an account's name and, where Slurm keeps a text beside it, this site's mark. Nothing else on the
cluster is ever changed.
"""

import pwd
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from . import ledger, names
from .config import Config, Slurm
from .errors import Human, Later
from .run import Ran, run

PATIENCE = 8.0
"""Seconds for one command: less than Tenure waits for an answer."""
NAMED = re.compile(r'^[^#\n]*?\bClusterName\s*=\s*"?([A-Za-z0-9_.-]+)', re.IGNORECASE | re.MULTILINE)
SCALE = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40, "P": 1 << 50}
NONE = -1
"""How Slurm is told to take a limit away."""


Job = tuple[str, str]
"""A job's id and state."""


@dataclass(frozen=True)
class Qos:
    """One QOS as the cluster shows it. Limits that are not set are None."""

    mark: str
    flags: frozenset[str]
    tres: str
    jobs: int | None
    submit: int | None
    minutes: str


@dataclass(frozen=True)
class Tied:
    """The association of a user with an account."""

    account: str
    user: str
    qos: str
    submit: int | None


def of(config: Config) -> Slurm:
    """The site's Slurm. Human where there is none."""
    if config.slurm is None:
        raise Human(f"site {config.site}: its configuration has no slurm section", "run `tenure site prepare`")
    return config.slurm


def mark(config: Config) -> str:
    """What we write beside what is ours, where Slurm keeps a text."""
    return f"tenure:{config.site}".lower()


def ask(config: Config, *argv: str, check: bool = True, timeout: float = PATIENCE) -> Ran:
    """Run one of Slurm's own programs. Times are in UTC both ways."""
    environment = {"SLURM_CONF": str(of(config).conf), "TZ": "UTC", "SLURM_TIME_FORMAT": "standard"}
    return run(argv, timeout=timeout, check=check, environment=environment)


def change(config: Config, lines: Sequence[str]) -> None:
    """Several changes of accounting in one go; whether they came true is for the caller to read back, as sacctmgr
    goes on after a refusal. Only checked names and numbers may be in `lines`."""
    environment = {"SLURM_CONF": str(of(config).conf), "TZ": "UTC"}
    if lines:
        text = "".join(f"{line}\n" for line in lines)
        run(["sacctmgr", "--immediate"], input=text, timeout=PATIENCE, check=False, environment=environment)


def listed(config: Config, what: str, columns: str, *where: str) -> list[list[str]]:
    """Rows of accounting; a free text must be the last column. Later when slurmdbd does not answer: then nothing is
    known."""
    ran = ask(config, "sacctmgr", "--noheader", "--parsable2", "list", what, f"format={columns}", *where)
    width = columns.count(",") + 1
    rows = [row.split("|", width - 1) for row in ran.out.splitlines() if row]
    if any(len(row) != width for row in rows):
        raise Later(f"sacctmgr list {what}: reads as {rows[0]}")
    return rows


def cluster(config: Config) -> str:
    """The cluster's name by its slurm.conf: accounting may serve others too, and what names none is done to all. Where
    that file includes it from another, slurmctld is asked."""
    path = of(config).conf
    found = NAMED.search(path.read_text()) or NAMED.search(ask(config, "scontrol", "show", "config").out)
    if found is None:
        raise Human(f"{path}: names no cluster", f"write slurmctld's ClusterName into {path} on the login node")
    return found[1].lower()


def accounts(config: Config, *only: str) -> dict[str, str]:
    """Slurm accounts with their marks, of whichever cluster."""
    where = [f"account={','.join(only)}"] if only else []
    return {row[0]: row[1] for row in listed(config, "account", "account,descr", *where)}


def clusters(config: Config, *only: str) -> dict[str, set[str]]:
    """In which clusters each Slurm account is; one that is in none is missing."""
    found: dict[str, set[str]] = {}
    for account, name in listed(config, "assoc", "account,cluster", *([f"account={','.join(only)}"] if only else [])):
        found.setdefault(account, set()).add(name)
    return found


def ours(config: Config, *only: str) -> list[str]:
    """Slurm accounts with our mark that are in this cluster, or left in none."""
    marked = [name for name, text in accounts(config, *only).items() if text == mark(config)]
    places, here = clusters(config, *marked) if marked else {}, cluster(config)
    return sorted(name for name in marked if here in places.get(name, {here}))


def foreign(config: Config, *names: str) -> set[str]:
    """Those whose Slurm account is somebody else's: nothing that bears such a name is ours."""
    return {name for name, text in accounts(config, *names).items() if text != mark(config)} if names else set()


def qos(config: Config, *only: str) -> dict[str, Qos]:
    """QOS by name."""
    columns = "name,flags,grptres,grpjobs,grpsubmit,grptresmins,descr"
    found = {}
    for row in listed(config, "qos", columns, *([f"name={','.join(only)}"] if only else [])):
        jobs, submit = (number(row[at]) for at in (3, 4))
        found[row[0]] = Qos(row[6], frozenset(row[1].split(",")), row[2], jobs, submit, row[5])
    return found


def marked(config: Config, names: Iterable[str]) -> dict[str, Qos]:
    """Those of these QOS that bear our mark."""
    wanted = sorted(set(names))
    found = qos(config, *wanted) if wanted else {}
    return {name: one for name, one in found.items() if name in wanted and one.mark == mark(config)}


def tied(config: Config, *users: str) -> list[Tied]:
    """All associations of these users in this cluster, whichever account they are with."""
    which = [f"cluster={cluster(config)}", f"user={','.join(users)}"]
    rows = listed(config, "assoc", "account,user,qos,maxsubmit", *which) if users else []
    return [Tied(row[0], row[1], row[2], number(row[3])) for row in rows if row[1]]


def bound(config: Config, users: Iterable[str]) -> list[str]:
    """Users that are bound to the Slurm account of their own name, where that is not somebody else's."""
    found = {one.user for one in tied(config, *users) if one.account == one.user}
    return sorted(found - foreign(config, *found))


def number(text: str) -> int | None:
    """A limit as Slurm shows it; None when there is none. Later when it is no number."""
    try:
        return int(text) if text else None
    except ValueError as error:
        raise Later(f"Slurm: reads {text!r} where a number is due") from error


def memory(text: str) -> int:
    """Bytes of what Slurm writes as 1.50G; MiB where no unit is said. Later when it is no size."""
    scale = SCALE.get(text[-1:])
    bare = text[:-1] if scale else text or "0"
    try:
        return int((int(bare) if bare.isdecimal() else float(bare)) * (scale or SCALE["M"]))
    except ValueError as error:
        raise Later(f"Slurm: reads {text!r} where a size is due") from error


def jobs(config: Config, users: Iterable[str]) -> dict[str, list[Job]]:
    """Jobs of these users that are not over: id and state by name. Whose one is, its uid says, which nobody else ever
    gets; a user that the host has no more may still have some, so they are looked for by Slurm account too."""
    here = {user.pw_name: user.pw_uid for user in pwd.getpwall()}
    given = {names.unix(account): uid for account, uid in ledger.entries(config).items()}
    whose = {uid: user for user in users if (uid := given.get(user, here.get(user))) is not None}
    found: dict[str, dict[str, str]] = {}
    # squeue refuses a whole list of users for one that the host does not know; accounts it does not look up
    for option, asked in (("--account", set(whose.values())), ("--users", here.keys() & whose.values())):
        for uid, job, state in queued(config, f"{option}={','.join(sorted(asked))}") if asked else []:
            if uid in whose and state not in OVER:
                found.setdefault(whose[uid], {})[job] = state
    return {user: list(rows.items()) for user, rows in found.items()}


def queued(config: Config, which: str) -> list[tuple[int | None, str, str]]:
    """The queue's rows: uid, the job's id, its state."""
    columns = ["--noheader", "--array", "--states=all", "--format=%U|%i|%T"]
    ran = ask(config, "squeue", which, *columns, check=False)
    if ran.code != 0:
        raise Later(f"squeue: {ran.said}")
    rows = [row.strip().split("|") for row in ran.out.splitlines() if row.strip()]
    if odd := [row for row in rows if len(row) != 3]:
        raise Later(f"squeue: reads as {odd[0]}")
    return [(number(row[0]), row[1], row[2]) for row in rows]


OVER = {"COMPLETED", "CANCELLED", "FAILED", "TIMEOUT", "NODE_FAIL", "PREEMPTED", "BOOT_FAIL", "DEADLINE",
        "OUT_OF_MEMORY", "REVOKED"}


def size(config: Config) -> tuple[int, int]:
    """Cores and bytes of memory that all nodes of the cluster have."""
    ran = ask(config, "sinfo", "--noheader", "--Node", "--format=%N|%c|%m")
    nodes = {row.split("|")[0]: row.split("|")[1:] for row in ran.out.splitlines() if row.count("|") == 2}
    return sum(int(one[0]) for one in nodes.values()), sum(int(one[1]) << 20 for one in nodes.values())
