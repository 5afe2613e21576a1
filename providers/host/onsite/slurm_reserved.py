"""An account's reservation: it ends with the lease, so that Slurm itself refuses and kills; and it holds a licence that
nobody else asks for, or the account's cores."""

import calendar
import time
from collections.abc import Iterable
from dataclasses import dataclass

from . import names, slurm
from .config import Config, Slurm
from .errors import Human, Later, Refused
from .spec import Account, Spec

FARTHEST = 10 * 366 * 86400
"""Seconds from now beyond which no reservation ends; an end without a date is moved on by whoever arms next."""


@dataclass(frozen=True)
class Reservation:
    """A reservation as the cluster shows it; `end` is epoch seconds, `cores` those that nobody else can have."""

    users: str
    end: int
    cores: int = 0


def reservations(config: Config, *only: str) -> dict[str, Reservation]:
    """Reservations by name, of those that are named as accounts are."""
    ran = slurm.ask(config, "scontrol", "--oneliner", "show", "reservation", *only, check=False)
    if ran.code != 0 and "not found" not in ran.out + ran.err:
        raise Later(f"scontrol show reservation: {ran.said}")
    found = {}
    for row in ran.out.splitlines():
        words = dict(word.partition("=")[::2] for word in row.split() if "=" in word)
        name = words.get("ReservationName", "")
        if names.of(name) is None:
            continue
        try:
            end = calendar.timegm(time.strptime(words["EndTime"], "%Y-%m-%dT%H:%M:%S"))
            found[name] = Reservation(words["Users"], end, held_cores(words))
        except (KeyError, ValueError) as error:
            raise Later(f"scontrol show reservation: reads as {row!r}"[:300]) from error
    return found


def held_cores(words: dict[str, str]) -> int:
    """A reservation that floats over any node holds none, whatever it counts."""
    return 0 if "ANY_NODES" in words.get("Flags", "") else int(words.get("CoreCnt", "0"))


def reserve(config: Config, account: Account, end: float, cores: int) -> None:
    """The account's reservation with this end; one that is made holds `cores`, where it is to hold any. One that is
    somebody else's is left alone: Human."""
    site, name = slurm.of(config), names.unix(account.id)
    if not site.reserves:
        return
    wanted = int(min(end, time.time() + FARTHEST)) + 1
    when = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(wanted))
    known = reservations(config, name).get(name)
    if known is not None and known.users != name:
        raise Human(f"reservation {name}: is for {known.users}, not ours", f"rename the reservation {name}")
    if wanted <= time.time() + 1:
        return
    if known is not None and abs(known.end - wanted) <= 1:
        return
    words = [f"ReservationName={name}", f"EndTime={when}"]
    if known is not None:
        # one of cores does not move beside anybody's running job, though that has other cores
        words += ["Flags+=IGNORE_JOBS"] if known.cores else []
        ran = slurm.ask(config, "scontrol", "update", "reservation", *words, check=False)
    else:
        words += [f"Users={name}", "StartTime=now", *what(site, account.spec, cores)]
        ran = slurm.ask(config, "scontrol", "create", "reservation", *words, check=False)
    seen = reservations(config, name).get(name)
    if seen is None or abs(seen.end - wanted) > 1:
        raise Later(f"reservation {name}: is to end at {when}, reads back as {seen}: {ran.said}")


def other_cores(config: Config, account: Account, cores: int) -> bool:
    """Take a reservation away that holds another number of cores, as Slurm changes none; whether there was one. Refused
    while jobs are in it."""
    site, name = slurm.of(config), names.unix(account.id)
    known = reservations(config, name).get(name) if sets_aside(site, account.spec) else None
    if known is None or known.users != name or known.cores in (0, cores):
        return False
    said = slurm.ask(config, "scontrol", "delete", f"ReservationName={name}", check=False).said
    if reservations(config, name):
        raise Refused(f"reservation {name}: holds {known.cores} cores, and jobs in it keep it so: {said}")
    return True


def sets_aside(site: Slurm, spec: Spec) -> bool:
    """Whether the account's reservation is to hold its cores."""
    return site.set_aside or spec.set_aside


def what(site: Slurm, spec: Spec, cores: int) -> list[str]:
    """Cores that nobody else can have meanwhile; or only a licence that nobody else asks for, on whichever node."""
    if sets_aside(site, spec):
        return [f"CoreCnt={cores}", "NodeCnt=1", *([f"PartitionName={site.partition}"] if site.partition else [])]
    return [f"Licenses={site.licence}:1", "Flags=ANY_NODES"]


def unreserve(config: Config, users: Iterable[str]) -> dict[str, str]:
    """Take these users' reservations away; already gone is success, as is one of somebody else's. What is left, by
    user. scontrol deletes one at a time."""
    wanted = set(users)
    said = {name: slurm.ask(config, "scontrol", "delete", f"ReservationName={name}", check=False).said
            for name in held_by(config, wanted)}
    left = held_by(config, wanted) if said else []
    return {name: f"still in Slurm: reservation {name}: {said.get(name, 'made anew')}" for name in left}


def held_by(config: Config, users: set[str]) -> list[str]:
    """Reservations that bear the name of one of these users and are theirs alone, where the Slurm account of that name
    is not somebody else's."""
    if not slurm.of(config).reserves:
        return []
    found = reservations(config, *(users if len(users) == 1 else ()))
    held = sorted(name for name, one in found.items() if name in users and one.users == name)
    return sorted(set(held) - slurm.foreign(config, *held))
