"""Talking to the site's Slurm: sacctmgr, scontrol, squeue and sacct, each read back strictly.

Ours is what bears an account's name and, where Slurm keeps a text beside it, this site's mark. Nothing else on the
cluster is ever changed.
"""

import calendar
import contextlib
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from . import names
from .config import Config, Slurm
from .errors import Human, Later
from .run import Ran, run
from .spec import Account, Spec

PATIENCE = 8.0
"""Seconds for one command: less than Tenure waits for an answer."""
FARTHEST = 10 * 366 * 86400
"""Seconds from now beyond which no reservation ends; an end without a date is moved on by whoever arms next."""
NONE = -1
"""How Slurm is told to take a limit away."""


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


@dataclass(frozen=True)
class Reservation:
    """A reservation as the cluster shows it; `end` is epoch seconds, `cores` those that nobody else can have."""

    users: str
    end: int
    cores: int = 0


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


def accounts(config: Config, *only: str) -> dict[str, str]:
    """Slurm accounts with their marks."""
    where = [f"account={','.join(only)}"] if only else []
    return {row[0]: row[1] for row in listed(config, "account", "account,descr", *where)}


def qos(config: Config, *only: str) -> dict[str, Qos]:
    """QOS by name."""
    columns = "name,flags,grptres,grpjobs,grpsubmit,grptresmins,descr"
    found = {}
    for row in listed(config, "qos", columns, *([f"name={','.join(only)}"] if only else [])):
        jobs, submit = (int(row[at]) if row[at] else None for at in (3, 4))
        found[row[0]] = Qos(row[6], frozenset(row[1].split(",")), row[2], jobs, submit, row[5])
    return found


def tied(config: Config, *users: str) -> list[Tied]:
    """All associations of these users, whichever account they are with."""
    rows = listed(config, "assoc", "account,user,qos,maxsubmit", f"user={','.join(users)}") if users else []
    return [Tied(row[0], row[1], row[2], int(row[3]) if row[3] else None) for row in rows if row[1]]


def reservations(config: Config, *only: str) -> dict[str, Reservation]:
    """Reservations by name."""
    ran = ask(config, "scontrol", "--oneliner", "show", "reservation", *only, check=False)
    if ran.code != 0 and "not found" not in ran.out + ran.err:
        raise Later(f"scontrol show reservation: {ran.said}")
    found = {}
    for row in ran.out.splitlines():
        words = dict(word.partition("=")[::2] for word in row.split() if "=" in word)
        with contextlib.suppress(KeyError, ValueError):
            end = calendar.timegm(time.strptime(words["EndTime"], "%Y-%m-%dT%H:%M:%S"))
            found[words["ReservationName"]] = Reservation(words["Users"], end, held_cores(words))
    return found


def held_cores(words: dict[str, str]) -> int:
    """A reservation that floats over any node holds none, whatever it counts."""
    return 0 if "ANY_NODES" in words.get("Flags", "") else int(words.get("CoreCnt", "0"))


def reserve(config: Config, account: Account, end: float, cores: int) -> None:
    """The account's reservation with this end. One that is somebody else's is left alone: Human."""
    slurm, name = of(config), names.unix(account.id)
    if not slurm.reserves:
        return
    wanted = int(min(end, time.time() + FARTHEST)) + 1
    when = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(wanted))
    known = reservations(config, name).get(name)
    if known is not None and known.users != name:
        raise Human(f"reservation {name}: is for {known.users}, not ours", f"rename the reservation {name}")
    if known is not None and abs(known.end - wanted) <= 1:
        return
    if wanted <= time.time() + 1:
        return
    if known is not None:
        words = [f"ReservationName={name}", f"EndTime={when}"]
        ran = ask(config, "scontrol", "update", "reservation", *words, check=False)
    else:
        words = [f"ReservationName={name}", f"Users={name}", "StartTime=now", f"EndTime={when}"]
        ran = ask(config, "scontrol", "create", "reservation", *words, *what(slurm, account.spec, cores), check=False)
    seen = reservations(config, name).get(name)
    if seen is None or abs(seen.end - wanted) > 1:
        raise Later(f"reservation {name}: is to end at {when}, reads back as {seen}: {ran.said}")


def what(slurm: Slurm, spec: Spec, cores: int) -> list[str]:
    """Cores that nobody else can have meanwhile; or only a licence that nobody else asks for, on whichever node."""
    if slurm.set_aside or spec.set_aside:
        return [f"CoreCnt={cores}", "NodeCnt=1", *([f"PartitionName={slurm.partition}"] if slurm.partition else [])]
    return [f"Licenses={slurm.licence}:1", "Flags=ANY_NODES"]


def unreserve(config: Config, users: Iterable[str]) -> None:
    """Take these users' reservations away; already gone is success, as is one of somebody else's. scontrol deletes one
    at a time."""
    if not of(config).reserves:
        return
    wanted = set(users)
    said = ""
    for name in held_by(config, wanted):
        said = ask(config, "scontrol", "delete", f"ReservationName={name}", check=False).said
    if left := held_by(config, wanted):
        raise Later(f"reservation {left[0]}: still there: {said}")


def held_by(config: Config, users: set[str]) -> list[str]:
    """Reservations that bear the name of one of these users and are theirs."""
    found = reservations(config, *(users if len(users) == 1 else ()))
    return sorted(name for name, one in found.items() if name in users and one.users == name)


def jobs(config: Config, users: Iterable[str]) -> dict[str, list[tuple[str, str]]]:
    """Jobs of these users that are not over: id and state."""
    asked = ",".join(users)
    found: dict[str, list[tuple[str, str]]] = {}
    if asked:
        columns = ["--noheader", "--array", "--states=all", "--format=%u|%i|%T"]
        ran = ask(config, "squeue", f"--users={asked}", *columns, check=False)
        if ran.code != 0:
            raise Later(f"squeue: {ran.said}")
        for row in ran.out.splitlines():
            user, job, state = row.strip().split("|")
            if state not in OVER:
                found.setdefault(user, []).append((job, state))
    return found


OVER = {"COMPLETED", "CANCELLED", "FAILED", "TIMEOUT", "NODE_FAIL", "PREEMPTED", "BOOT_FAIL", "DEADLINE",
        "OUT_OF_MEMORY", "REVOKED"}


def size(config: Config) -> tuple[int, int]:
    """Cores and bytes of memory that all nodes of the cluster have."""
    ran = ask(config, "sinfo", "--noheader", "--Node", "--format=%N|%c|%m")
    nodes = {row.split("|")[0]: row.split("|")[1:] for row in ran.out.splitlines() if row.count("|") == 2}
    return sum(int(one[0]) for one in nodes.values()), sum(int(one[1]) << 20 for one in nodes.values())
