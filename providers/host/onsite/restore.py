"""After a reboot an account stays shut until its limits stand again; this is where that is known and done."""

from pathlib import Path

from . import files, paths
from .config import Config
from .errors import Human, Later

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def boot_id() -> str:
    """What changes with every boot of this host."""
    return BOOT_ID.read_text().strip()


def ready(config: Config, account: str) -> bool:
    """Whether the account's limits stand since the last reboot. False keeps its gate and logins shut."""
    try:
        return paths.ready(config, account).read_text() == boot_id()
    except FileNotFoundError:
        return False


def mark_ready(config: Config, account: str) -> None:
    files.write(paths.ready(config, account), boot_id(), sync=False)


def account(config: Config, account: str) -> None:
    """Bring back what a reboot took: cgroups, namespace, rate, egress counter, and the drop of a fence. Only then is
    the account ready."""
    from . import account as user
    from . import fence, lease, lock, nft, parts, spec, storage

    with lock.account(config, account, patience=0.0):
        known = spec.read(config, account)
        if known is None:
            raise Human(f"{account}: has a lease but no spec", f"fence and reclaim {account}")
        if storage.observe(config, known) is None:
            raise Later(f"{account}: its storage is not mounted at {config.pool}")
        user.limit(config, known)
        parts.part(config, "network").ensure(config, known)
        held = lease.read(config, account)
        if held is not None and held.fenced:
            nft.drop(config, [account])
            fence.drop_jobs(account, known.uid)
        mark_ready(config, account)
