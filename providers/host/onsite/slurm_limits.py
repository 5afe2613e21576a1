"""What an account is to be in Slurm, as a pure function of its spec and lease; and bringing Slurm to it.

All limits are in one QOS: it overrides the account's and the user's. Until logins open, after a fence, and at the end
nothing may be submitted: GrpSubmitJobs=0 on the QOS and MaxSubmitJobs=0 on the user's association.
"""

import math
from dataclasses import dataclass

from . import lease, names, slurm
from .config import Config, Slurm
from .errors import Later, Refused
from .spec import Account, Spec

FLAGS = frozenset({"DenyOnLimit", "NoDecay"})
RESERVED = "RequiresReservation"


@dataclass(frozen=True)
class Standing:
    """What changes while an account lives: whether it may submit, and for how many minutes in all."""

    submits: bool
    minutes: int


def cores(spec: Spec) -> int:
    """Slurm gives whole cores."""
    return max(1, math.ceil(spec.cpu_milli / 1000))


def tres(site: Slurm, spec: Spec) -> dict[str, int]:
    """The most that all jobs together may have; a kind of accelerator that is not in the spec is 0."""
    given = dict(spec.accelerators)
    if missing := sorted(chip for chip, count in given.items() if count and chip not in site.chips):
        raise Refused(f"{spec.account}: this site has no accelerators to give ({', '.join(missing)})")
    chips = dict.fromkeys(site.chips.values(), 0)
    for chip, count in given.items():
        if chip in site.chips:
            chips[site.chips[chip]] += count
    sizes = {"cpu": cores(spec), "mem": spec.memory >> 20, "node": max(1, spec.containers)}
    return sizes | {f"gres/{name}": count for name, count in chips.items()}


def shown(sizes: dict[str, int]) -> str:
    """As one text that compares whichever order and unit Slurm shows."""
    return ",".join(f"{name}={count}" for name, count in sorted(sizes.items()))


def read(text: str) -> str:
    """What Slurm shows, in the same form; memory comes back in the largest unit that fits."""
    sizes = {}
    for word in text.split(","):
        name, _, value = word.partition("=")
        sizes[name] = slurm.memory(value) >> 20 if name == "mem" else slurm.number(value) or 0
    return shown(sizes)


def admitted(site: Slurm, spec: Spec, minutes: int) -> dict[str, int]:
    """Minutes of each thing that may be spent in all: checked by Slurm before a job starts."""
    spent = {name: count * minutes for name, count in tres(site, spec).items() if name != "node"}
    # Slurm shows an odd number of MiB to the last; an even one it may round to two digits of a larger unit
    return spent | {"mem": spent["mem"] | bool(minutes)}


def standing(known: lease.Lease | None, now: float) -> Standing:
    """What the lease says."""
    if known is None or known.logins != "open":
        return Standing(False, 0)
    minutes = math.ceil((known.end - (known.starts_at or now)) / 60)
    return Standing(known.usable(now), max(0, minutes))


def submit(site: Slurm, spec: Spec, held: Standing) -> int:
    return spec.containers + site.waiting if held.submits else 0


def flags(site: Slurm) -> frozenset[str]:
    return FLAGS | {RESERVED} if site.reserves else FLAGS


class Differs(Later):
    """Slurm shows something else than what was set: somebody may have set it at the same time."""


def put(config: Config, account: Account, held: Standing) -> None:
    """Set all of the QOS and the association, and read both back: Differs. They are there already."""
    site, name, spec = slurm.of(config), names.unix(account.id), account.spec
    sizes, minutes = tres(site, spec), admitted(site, spec, held.minutes)
    most = submit(site, spec, held)
    limits = f"GrpTRES={shown(sizes)} GrpJobs={spec.containers} GrpSubmitJobs={most} GrpTRESMins={shown(minutes)}"
    whose = f"name={name} account={name} cluster={slurm.cluster(config)}"
    slurm.change(config, [
        f"modify qos where name={name} set Flags={','.join(sorted(flags(site)))} {limits}",
        f"modify user where {whose} set QOS={name} DefaultQOS={name} "
        f"MaxSubmitJobs={slurm.NONE if held.submits else 0}",
    ])  # fmt: skip
    seen = slurm.qos(config, name).get(name)
    expected = (flags(site), shown(sizes), spec.containers, most, shown(minutes))
    if seen is None or (seen.flags, read(seen.tres), seen.jobs, seen.submit, read(seen.minutes)) != expected:
        raise Differs(f"QOS {name}: is to be {expected}, reads back as {seen}")
    ties = slurm.tied(config, name)
    if ties != [slurm.Tied(name, name, name, None if held.submits else 0)]:
        raise Differs(f"association of {name}: reads back as {ties}")
