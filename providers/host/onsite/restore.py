"""After a reboot an account stays shut until its limits stand again; this is where that is done."""

from . import account as user
from . import boot, fence, lease, lock, nft, parts, spec, storage
from .config import Config
from .errors import Human, Later


def account(config: Config, account: str) -> None:
    """Bring back what a reboot took: cgroups, namespace, rate, egress counter, and the drop of a fence. Only then is
    the account ready."""
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
        boot.mark_ready(config, account)
