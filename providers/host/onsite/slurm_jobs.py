"""The containers part on a Slurm site: jobs. One QOS holds every limit, the user's association is bound to it, and a
reservation ends with the lease."""

import time
from typing import Any

from . import lease, names, slurm, slurm_limits, slurm_reserved, slurm_usage
from . import spec as kept
from .config import Config
from .errors import Human, Later, Refused
from .spec import Account

TURNS = 5


def observe(config: Config, account: Account) -> dict[str, Any] | None:
    """The QOS, who is bound to it and its limits; None without a QOS of ours or without the association."""
    name = names.unix(account.id)
    seen = slurm.qos(config, name).get(name)
    if seen is None or seen.mark != slurm.mark(config):
        return None
    if [one.account for one in slurm.tied(config, name)] != [name]:
        return None
    site = slurm.of(config)
    held = slurm_reserved.reservations(config, name).get(name) if site.reserves else None
    return {
        "qos": name,
        "jobs": seen.jobs if seen.jobs is not None else -1,
        "tres": slurm_limits.read(seen.tres) if seen.tres else "",
        "reservation": name if held else "",
        "cores": held.cores if held else 0,
        # a reservation outlives a change of the site's settings; it does not outlive the end
        "set_aside": account.spec.set_aside or (held.cores > 0 if held else site.set_aside),
        "flags": sorted(seen.flags),
        "models": sorted(account.spec.models),
    }


def limits(config: Config, account: Account) -> dict[str, Any]:
    """What the facts must be."""
    site = slurm.of(config)
    sizes = slurm_limits.shown(slurm_limits.tres(site, account.spec))
    return {"jobs": account.spec.containers, "tres": sizes, "flags": sorted(slurm_limits.flags(site))}


def ensure(config: Config, account: Account) -> dict[str, Any]:
    """Make or repair all three as the lease says, and read them back. Never lifts a fence."""
    if missing := sorted(set(account.spec.models) - config.models.keys()):
        raise Refused(f"{account.id}: this site has no model {', '.join(missing)}")
    if account.spec.set_aside and not slurm.of(config).reserves:
        raise Refused(f"{account.id}: this site makes no reservations, so it sets no capacity aside")
    slurm_limits.tres(slurm.of(config), account.spec)
    make(config, account)
    follow(config, account.id)
    if slurm_reserved.other_cores(config, account, slurm_limits.cores(account.spec)):
        follow(config, account.id)
    seen = observe(config, account)
    if seen is None:
        raise Later(f"{names.unix(account.id)}: QOS or association reads back as missing")
    held = lease.read(config, account.id)
    if seen["set_aside"] and not seen["cores"] and held is not None and held.fenced is None:
        raise Later(f"{names.unix(account.id)}: no cores are set aside for it yet")
    return seen


def make(config: Config, account: Account) -> None:
    """The QOS and the association, shut until the lease says otherwise. Names that are somebody else's: Human."""
    name, mark = names.unix(account.id), slurm.mark(config)
    known = slurm.qos(config, name).get(name)
    if known is not None and known.mark != mark:
        raise Human(f"QOS {name}: exists already and is not ours ({known.mark!r})", f"rename the QOS {name}")
    ties = slurm.tied(config, name)
    if foreign := sorted({one.account for one in ties} - {name}):
        remedy = f"take the user {name} out of these Slurm accounts"
        raise Human(f"Slurm user {name}: exists already, in {', '.join(foreign)}", remedy)
    shut = "GrpSubmitJobs=0 GrpJobs=0 Flags=DenyOnLimit,NoDecay"
    steps = [] if known else [f"add qos {name} Description={mark} {shut}"]
    how = f"account={name} cluster={slurm.cluster(config)} QOS={name} DefaultQOS={name} MaxSubmitJobs=0"
    steps += [] if ties else [f"add user {name} {how}"]
    slurm.change(config, steps)
    if not ties:
        slurm_usage.forget(config, account.id)  # made anew: jobs run on, and the books have the old ones again


def follow(config: Config, account: str, ahead: lease.Lease | None = None) -> None:
    """Bring Slurm to what the lease says (or will say, when `ahead` is given). A fence that comes in between is seen
    afterwards, so it always has the last word; and a fence that was lifted meanwhile may still be shutting it. Without
    parts in Slurm there is nothing to bring."""
    known = kept.read(config, account)
    if known is None or not slurm.tied(config, names.unix(account)):
        return
    late = Later(f"{account}: its lease changes faster than Slurm")
    for _ in range(TURNS):
        held = ahead or lease.read(config, account)
        try:
            slurm_limits.put(config, known, slurm_limits.standing(held, time.time()))
        except slurm_limits.Differs as other:
            late = other
            continue
        if held is not None and held.fenced is None:
            slurm_reserved.reserve(config, known, held.end, slurm_limits.cores(known.spec))
        if ahead is not None or lease.read(config, account) == held:
            return
    raise late


def opening(config: Config, account: str, duration: float) -> None:
    """Slurm is ready for the time box before that begins, so that its clock never runs while Slurm is away."""
    now = time.time()
    known = lease.read(config, account)
    if known is not None:
        follow(config, account, lease.Lease(now + duration, known.generation, "open", duration, now))


def remove(config: Config, account: str) -> None:
    """Take association, reservation and QOS away; already gone is success. Jobs go first, as they hold all three."""
    from . import containers, slurm_withdraw

    if (fault := slurm_withdraw.jobs(config, [account]).get(account)) is not None:
        raise fault
    containers.remove(config, account)  # the gate's own folders and helpers
