"""The storage part: one btrfs subvolume per account, held by a quota group of level 1 numbered as its uid.

Level 1, because with simple quotas a subvolume that the holder nests inside joins the same group: no way round the
limit. With the older full quotas a nested one would escape; the gate forbids making them, and `nested` finds them.
"""

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import files, lease, paths
from .config import Config
from .errors import Human, Later
from .run import run
from .spec import Account

VANISHED = "cannot find the qgroup"
"""What btrfs says when another account's group went while it listed them all."""
RACES = 20
ROOT_INODE = 256
"""Inode number of every btrfs subvolume's top folder."""


@dataclass(frozen=True)
class Group:
    """One quota group: bytes used, the limit (None without one), and the groups it counts towards."""

    used: int
    limit: int | None
    parents: tuple[str, ...]


def observe(config: Config, account: Account) -> dict[str, Any] | None:
    """The subvolume, its id and its limit; None without the subvolume. A limit that does not hold it shows as 0."""
    top = paths.subvolume(config, account.id)
    if not is_subvolume(top):
        return None
    number = subvolume_id(top)
    rows = groups(config)
    held = group(account.uid) in rows.get(f"0/{number}", Group(0, None, ())).parents
    mine = rows.get(group(account.uid))
    return {
        "subvolume": str(top),
        "subvolume_id": number,
        "storage": mine.limit or 0 if mine and held else 0,
    }


def ensure(config: Config, account: Account) -> dict[str, Any]:
    """Make or repair subvolume, limit and folders, and read them back. A live account's lost storage is not made
    anew: Human."""
    check_pool(config)
    top = paths.subvolume(config, account.id)
    rows = groups(config)
    if not is_subvolume(top):
        refuse_if_lived_in(config, account.id)
    mine = group(account.uid)
    if mine not in rows:
        run(["btrfs", "qgroup", "create", mine, str(config.pool)])
    if mine not in rows or rows[mine].limit != account.spec.storage:
        run(["btrfs", "qgroup", "limit", str(account.spec.storage), mine, str(config.pool)])
    if not is_subvolume(top):
        run(["btrfs", "subvolume", "create", "-i", mine, str(top)])
    else:
        number = f"0/{subvolume_id(top)}"
        if mine not in rows.get(number, Group(0, None, ())).parents:
            run(["btrfs", "qgroup", "assign", "--rescan", number, mine, str(config.pool)], timeout=300)
    make_folders(config, account)
    seen = observe(config, account)
    if seen is None or seen["storage"] != account.spec.storage:
        raise Later(f"{top}: reads back as {seen}")
    return seen


def make_folders(config: Config, account: Account) -> None:
    """Where the holder's home, temporary files and containers lie. All of it is under the one limit."""
    files.folder(paths.subvolume(config, account.id), mode=0o711)
    home = paths.home(config, account.id)
    home.mkdir(exist_ok=True)
    seen = os.lstat(home)
    # a full quota forbids even what changes nothing
    if (seen.st_uid, seen.st_gid) != (account.uid, account.uid):
        os.chown(home, account.uid, account.uid, follow_symlinks=False)
    if stat.S_IMODE(seen.st_mode) != 0o700:
        os.chmod(home, 0o700)
    for folder in (paths.tmp, paths.vartmp, paths.shm):
        files.folder(folder(config, account.id), mode=0o1777)
    files.folder(paths.graph(config, account.id), mode=0o700)


def refuse_if_lived_in(config: Config, account: str) -> None:
    known = lease.read(config, account)
    if known is not None and known.logins == "open":
        raise Human(
            f"the storage of {account} is gone while the account is in use",
            f"restore {paths.subvolume(config, account)} from a backup, or fence and reclaim the account",
        )


def remove(config: Config, account: str) -> None:
    """Take the subvolume, what is nested in it, and its quota groups away."""
    top = paths.subvolume(config, account)
    if is_subvolume(top):
        number = subvolume_id(top)
        inside = nested(config, number)
        lift(config, f"0/{number}")
        for one in reversed(inside):
            run(["btrfs", "subvolume", "delete", "--commit-after", "--subvolid", str(one), str(config.pool)])
        run(["btrfs", "subvolume", "delete", "--commit-after", str(top)], timeout=120)
        drop_groups(config, [f"0/{one}" for one in (number, *inside)])
    elif top.exists():
        raise Human(f"{top}: is not a subvolume", f"find out who made {top}, then remove it")


def lift(config: Config, member: str) -> None:
    """No limit any more on the groups that this one counts towards: a full one forbids even deletion."""
    rows = groups(config)
    for one in rows.get(member, Group(0, None, ())).parents:
        if one in rows and rows[one].limit is not None:
            run(["btrfs", "qgroup", "limit", "none", one, str(config.pool)])


def drop_groups(config: Config, wanted: list[str]) -> None:
    """Destroy these quota groups, members before those that they count towards; already gone is success, still there
    Later. A deleted subvolume's own group goes once the kernel has cleaned up behind it."""
    pool = str(config.pool)
    gone = [one.removeprefix("0/") for one in wanted if one.startswith("0/")]
    for settle in ((), (["filesystem", "sync", pool], ["subvolume", "sync", pool, *gone])):
        for words in settle:
            run(["btrfs", *words], timeout=300, check=False)
        for one in sorted(wanted):
            run(["btrfs", "qgroup", "destroy", one, pool], check=False)
        left = sorted(set(wanted) & groups(config).keys())
        if not left:
            return
    raise Later(f"{pool}: quota groups still there: {', '.join(left)}")


def nested(config: Config, number: int) -> list[int]:
    """Ids of all subvolumes inside the one with this id, outer ones first."""
    parents: dict[int, int] = {}
    for row in run(["btrfs", "subvolume", "list", "-p", str(config.pool)]).out.splitlines():
        words = row.split()
        parents[int(words[1])] = int(words[words.index("parent") + 1])
    found = [number]
    for one in found:
        found += [child for child, parent in parents.items() if parent == one]
    return found[1:]


def groups(config: Config) -> dict[str, Group]:
    """All quota groups of the pool. Human when quotas are off."""
    for _ in range(RACES):
        ran = run(["btrfs", "qgroup", "show", "--raw", "-pre", str(config.pool)], check=False)
        if ran.code == 0:
            return read_groups(ran.out)
        if VANISHED not in ran.err:
            remedy = f"mount a btrfs at {config.pool} and run `btrfs quota enable` on it"
            raise Human(f"{config.pool}: {ran.said}", remedy)
    raise Later(f"{config.pool}: {ran.said}")


def read_groups(text: str) -> dict[str, Group]:
    """What `btrfs qgroup show --raw -pre` printed."""
    found = {}
    for row in text.splitlines():
        words = row.split()
        if len(words) >= 6 and "/" in words[0]:
            limit = None if words[3] == "none" else int(words[3])
            parents = () if words[5] == "-" else tuple(words[5].split(","))
            found[words[0]] = Group(int(words[1]), limit, parents)
    return found


def group(uid: int) -> str:
    return f"1/{uid}"


def is_subvolume(path: Path) -> bool:
    try:
        seen = os.lstat(path)
    except FileNotFoundError:
        return False
    return seen.st_ino == ROOT_INODE


def subvolume_id(path: Path) -> int:
    return int(run(["btrfs", "inspect-internal", "rootid", str(path)]).out)


def check_pool(config: Config) -> None:
    if not is_subvolume(config.pool):
        raise Human(f"{config.pool}: is not a mounted btrfs", f"mount the pool at {config.pool}")


def used(config: Config, uid: int) -> int | None:
    """Bytes in the account's quota group, or None without one."""
    mine = groups(config).get(group(uid))
    return mine.used if mine else None


def quota_mode(config: Config) -> str | None:
    """`squota` (simple) or `qgroup` (full) where the kernel says it, else None."""
    for row in Path("/proc/self/mountinfo").read_text().splitlines():
        words = row.split()
        if words[4] == str(config.pool):
            device = os.path.basename(os.path.realpath(words[words.index("-") + 2]))
            for used in Path("/sys/fs/btrfs").glob(f"*/devices/{device}"):
                return (used.parents[1] / "qgroups/mode").read_text().strip()
    return None
