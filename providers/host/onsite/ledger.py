"""Which uid and which slot an account gets. uids are written down for ever and never given again; slots are reused.
Both only under the site's lock."""

import os

from . import files, paths
from .config import Config
from .errors import Human


def entries(config: Config) -> dict[str, int]:
    """Every account that ever got a uid here, with it."""
    path = paths.ledger(config)
    if not path.exists():
        return {}
    rows = (line.split() for line in path.read_text().splitlines())
    return {row[1]: int(row[0]) for row in rows if len(row) == 2 and row[0].isdigit()}


def uid(config: Config, account: str) -> int:
    """The account's uid: the one it has, else the next that nobody ever had, neither here nor in the host's users."""
    known = entries(config)
    if account in known:
        return known[account]
    given = max(known.values(), default=config.uid_min - 1) + 1
    taken = taken_ids()
    while given in taken:
        given += 1
    if given > config.uid_max:
        raise Human(f"all uids up to {config.uid_max} have been used", "raise uid_max in the site's configuration")
    handle = os.open(paths.ledger(config), os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        os.write(handle, f"\n{given} {account}\n".encode())
        os.fsync(handle)
    finally:
        os.close(handle)
    files.settle(config.state)
    return given


def taken_ids() -> set[int]:
    """All uids and gids that the host knows."""
    import grp
    import pwd

    return {user.pw_uid for user in pwd.getpwall()} | {group.gr_gid for group in grp.getgrall()}


def slot(config: Config, account: str) -> int:
    """The account's slot: the one it has, else the lowest free. Each is one /30 of the site's range; 0 stays unused."""
    used = slots(config)
    if account in used:
        return used[account]
    last = config.net_range.num_addresses // 4 - 1
    taken = set(used.values())
    free = next((one for one in range(1, last + 1) if one not in taken), None)
    if free is None:
        raise Human(f"all {last} addresses of {config.net_range} are in use", "configure a larger net_range")
    files.write(paths.slots(config) / str(free), account)
    return free


def slots(config: Config) -> dict[str, int]:
    """Which account has which slot."""
    folder = paths.slots(config)
    return {(folder / name).read_text(): int(name) for name in os.listdir(folder) if name.isdigit()}


def release(config: Config, account: str) -> None:
    """Give the account's slot back; having none is success."""
    if (given := slots(config).get(account)) is not None:
        files.remove(paths.slots(config) / str(given))
