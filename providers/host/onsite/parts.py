"""The five parts of an account, as the modules that know them, in the order in which they are made."""

import time
from typing import Any, Protocol

from . import access, account, boot, lease, lock, names, network, rescue, spec, storage
from .config import Config
from .errors import Refused

NAMES = ("account", "storage", "network", "containers", "access")


class Part(Protocol):
    """What each part's module offers. Twice is once; gone already is success."""

    def observe(self, config: Config, account: spec.Account) -> dict[str, Any] | None: ...
    def ensure(self, config: Config, account: spec.Account) -> dict[str, Any]: ...
    def remove(self, config: Config, account: str) -> None: ...


def part(config: Config, name: Any) -> Part:
    """The module of this part; Refused when there is no such part."""
    if name not in NAMES:
        raise Refused(f"no such part: {name!r}"[:200])
    if config.slurm is not None and name in ("account", "network", "containers"):
        from . import slurm_account, slurm_jobs, slurm_network

        return {"account": slurm_account, "network": slurm_network, "containers": slurm_jobs}[name]
    return plain(name)


def on_host(config: Config, name: str) -> Part:
    """The module that knows what of this part lies on this host, whatever a cluster beside it has."""
    if config.slurm is not None and name == "network":
        from . import slurm_network

        return slurm_network
    return plain(name)


def plain(name: str) -> Part:
    if name == "containers":
        from . import containers

        return containers
    modules: dict[str, Part] = {"account": account, "storage": storage, "network": network, "access": access}
    return modules[name]


def observe(config: Config, name: str, wanted: spec.Spec) -> dict[str, Any] | None:
    known = spec.read(config, wanted.account)
    return None if known is None else part(config, name).observe(config, known)


def ensure(config: Config, name: str, wanted: spec.Spec) -> dict[str, Any]:
    """Create or repair. Refused without an armed end: an account that nothing would end must not come to be."""
    module = part(config, name)
    with lock.account(config, wanted.account):
        if lease.read(config, wanted.account) is None:
            raise Refused(f"{wanted.account}: has no armed end here: arm it first")
        return module.ensure(config, spec.keep(config, wanted))


def remove(config: Config, name: str, account: str) -> None:
    """Refused while the account is in use: whoever wants it gone fences it first."""
    module = part(config, name)
    with lock.account(config, account):
        known = lease.read(config, account)
        if known is not None and known.logins == "open" and known.fenced is None:
            raise Refused(f"{account}: is in use: fence it first")
        rescue.close(config, account)
        module.remove(config, account)


def complete(config: Config, account: str) -> None:
    """Refused unless all five parts are there with their limits, as the host shows them now."""
    known = spec.read(config, account)
    if known is None:
        raise Refused(f"{account}: nothing of it is here")
    for name in NAMES:
        seen = part(config, name).observe(config, known)
        if seen is None:
            raise Refused(f"{account}: its {name} is not there")
        wanted = limits(config, known, name)
        if wrong := [limit for limit, value in wanted.items() if seen.get(limit) != value]:
            found = ", ".join(f"{limit} is {seen.get(limit)}, not {wanted[limit]}" for limit in wrong)
            raise Refused(f"{account}: {name}: {found}")


def limits(config: Config, known: spec.Account, name: str) -> dict[str, Any]:
    """What of the spec each part holds."""
    wanted = known.spec
    if config.slurm is not None and name == "containers":
        from . import slurm_jobs

        return slurm_jobs.limits(config, known)
    if name == "account":
        memory = wanted.memory // account.PAGE * account.PAGE
        held = {"uid": known.uid, "cpu_milli": wanted.cpu_milli, "memory": memory, "pids": wanted.pids}
        return held | ({"slurm_account": names.unix(known.id)} if config.slurm else {})
    if name == "storage":
        return {"storage": wanted.storage}
    if name == "network":
        return {"rate": wanted.rate // 8 * 8, "egress": wanted.egress}
    return {}


def open_logins(config: Config, account: str, duration: float, generation: int) -> lease.Lease:
    """The last step: everything is read back, then the time box starts and logins open."""
    known = lease.read(config, account)
    if known is not None and known.logins != "open" and known.fenced is None:
        with lock.account(config, account):
            complete(config, account)
            boot.mark_ready(config, account)
            ready(config, account, duration, generation)
    try:
        return lease.open_logins(config, account, duration, generation, time.time())
    finally:
        follow(config, account)


def ready(config: Config, account: str, duration: float, generation: int) -> None:
    """What a site beside this host must know before the clock of a time box begins."""
    if config.slurm is not None:
        from . import slurm_jobs

        with lease.changing(config, account, generation):
            pass  # a stale caller changes nothing there either
        slurm_jobs.opening(config, account, duration)


def follow(config: Config, account: str) -> None:
    """The lease has changed: bring what is beside this host to it."""
    if config.slurm is not None:
        from . import slurm_jobs

        slurm_jobs.follow(config, account)
