"""The access part: the account's principals file, which sshd reads at each login. Empty lets nobody in."""

import contextlib
import os
import time
from typing import Any

from . import files, keyrings, lease, ledger, lock, names, paths
from .config import Config
from .errors import Human, Later, Refused
from .spec import Account


def observe(config: Config, account: Account) -> dict[str, Any] | None:
    path = paths.principals(config, account.id)
    return {"login": names.unix(account.id), "principals": str(path)} if path.exists() else None


def ensure(config: Config, account: Account) -> dict[str, Any]:
    """Make the file, empty; one that is there stays as it is. Never lets anybody in by itself."""
    path = paths.principals(config, account.id)
    if not config.principals.is_dir():
        raise Human(f"{config.principals}: no such folder", "run `tenure site prepare` for this site")
    with lock.lease(config, account.id):
        if not path.exists():
            files.write(path, "", mode=0o644)
    seen = observe(config, account)
    if seen is None:
        raise Later(f"{path}: reads back as missing")
    return seen


def remove(config: Config, account: str) -> None:
    """Take the file away, and the kernel's keyrings that logins have left."""
    with lock.lease(config, account):
        files.remove(paths.principals(config, account))
    if (uid := ledger.entries(config).get(account)) is not None:
        keyrings.end(uid)


def admit(config: Config, account: str, principal: str, expires: float, now: float) -> None:
    """Let this principal in until `expires`, instead of whoever was before. Refused unless logins are open now."""
    with lock.lease(config, account):
        known = lease.read(config, account)
        if known is None or not known.usable(now):
            raise Refused(f"{account}: its logins are not open")
        put(config, account, line(principal, expires))


def line(principal: str, expires: float, options: str = "") -> str:
    """A principals file with one principal, which sshd lets in until `expires`."""
    return f'{options}expiry-time="{time.strftime("%Y%m%d%H%M%SZ", time.gmtime(expires))}" {principal}\n'


def put(config: Config, account: str, content: str) -> None:
    path = paths.principals(config, account)
    files.write(path, content, mode=0o644)
    if path.read_text() != content:
        raise Later(f"{path}: reads back differently")


def shut(config: Config, account: str, rescue: lease.Rescue | None = None) -> None:
    """Nobody gets in any more, but for `rescue`. Only under the lease's lock; a missing file stays missing."""
    path = paths.principals(config, account)
    if path.exists():
        content = line(rescue.principal, rescue.until, "restrict,") if rescue else ""
        files.write(path, content, mode=0o644, sync=False)


def empty(config: Config, account: str) -> None:
    """Like `shut`, without the space that a new file takes."""
    with contextlib.suppress(FileNotFoundError):
        os.truncate(paths.principals(config, account), 0)
