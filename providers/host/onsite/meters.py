"""What accounts have used, saved every few seconds so that a reboot neither refills a quota nor loses CPU time."""

import json
import time
from dataclasses import asdict, dataclass
from typing import Any

from . import cgroups, files, lock, paths
from .config import Config


@dataclass(frozen=True)
class Meter:
    """Egress bytes and CPU seconds at the last save; `cpu_before` is the part from before the last reboot."""

    egress: int = 0
    cpu: float = 0.0
    cpu_before: float = 0.0


def load(config: Config) -> dict[str, Meter]:
    """All saved meters; an unreadable file counts as none, the next save mends it."""
    try:
        raw: dict[str, Any] = files.read_json(paths.egress(config)) or {}
        return {account: Meter(**row) for account, row in raw.items()}
    except (ValueError, TypeError, AttributeError):
        return {}


def saved(config: Config, account: str) -> Meter:
    return load(config).get(account, Meter())


def save(config: Config) -> None:
    """Save the meters of every account that has one here; those of accounts that are gone are dropped."""
    from . import nft

    with lock.held(config, "meters", 10.0):
        save_locked(config, nft.passed(config))


def save_locked(config: Config, passed: dict[str, int]) -> None:
    before = load(config)
    now = {account: current(config, account, used, before) for account, used in passed.items()}
    # an account whose counter is not back yet after a reboot keeps its last meter
    kept = {account: meter for account, meter in before.items() if paths.account(config, account).exists()}
    if {**kept, **now} != before:
        files.write(paths.egress(config), json.dumps({id: asdict(one) for id, one in {**kept, **now}.items()}))


def current(config: Config, account: str, egress: int, before: dict[str, Meter]) -> Meter:
    """This moment's meter. A CPU count lower than the last one is a new cgroup's: what was before is added."""
    known = before.get(account, Meter())
    counted = cgroups.tree().used(cgroups.path(config, account))
    if counted is None:
        return Meter(egress, known.cpu, known.cpu_before)
    base = known.cpu_before if known.cpu_before + counted >= known.cpu else known.cpu
    return Meter(egress, base + counted, base)


def usage(config: Config, account: str, since: float) -> list[dict[str, Any]]:
    """What was used since logins opened."""
    from . import lease, nft, spec

    known, held = spec.read(config, account), lease.read(config, account)
    if known is None or held is None or held.starts_at is None:
        return []
    cpu = current(config, account, 0, load(config)).cpu
    if config.slurm is not None:
        from . import slurm_end

        cpu += slurm_end.used(config, account) or 0.0
    amounts = {"cpu": round(cpu * 1000), "egress": nft.passed(config).get(account, 0)}
    now = time.time()
    begun = max(now // 3600 * 3600, held.starts_at)
    if since >= now:
        return []
    return [{"since": begun, "until": now, "covered": now - begun, "amounts": amounts}]


def stored(config: Config, account: str) -> dict[str, int | None]:
    from . import spec, storage

    known = spec.read(config, account)
    return {"storage": storage.used(config, known.uid) if known else None}


def forget(config: Config, account: str) -> None:
    """The account is cleaned away: so is its meter."""
    with lock.held(config, "meters", 10.0):
        left = load(config)
        if left.pop(account, None) is not None:
            files.write(paths.egress(config), json.dumps({id: asdict(one) for id, one in left.items()}))
