"""Everything at the site that belongs to an account, looked up by uid, name and label; nothing from our records is
believed. A listing that fails counts as one leftover: shown empty, or not clean."""

import contextlib
import os
import pwd
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from . import cgroups, fence, keyrings, ledger, meters, names, network, nft, paths, processes, rescue, storage
from .config import Config
from .errors import Later, SiteFault
from .run import readable, run

Listing = Callable[[Config, str, "int | None"], Iterable[str]]
ACCOUNT_FILES = ("/etc/passwd", "/etc/shadow", "/etc/group", "/etc/gshadow", "/etc/subuid", "/etc/subgid")
OPEN_FOLDERS = (Path("/tmp"), Path("/var/tmp"), Path("/dev/shm"), Path("/dev/mqueue"), Path("/run/lock"))


def listed(config: Config, account: str) -> list[dict[str, Any]]:
    """What is left, each with its kind; `unlisted` marks a listing that failed."""
    uid = uid_of(config, account)
    found = []
    for kind, listing in LISTINGS.items():
        try:
            found += [
                {"kind": kind, "what": readable(what), "unlisted": False} for what in listing(config, account, uid)
            ]
        except (SiteFault, OSError, ValueError) as error:
            found.append({"kind": kind, "what": str(error)[:300], "unlisted": True})
    return found


def uid_of(config: Config, account: str) -> int | None:
    """By the ledger; by the host's users when that was lost."""
    given = ledger.entries(config).get(account)
    if given is None:
        with contextlib.suppress(KeyError):
            given = pwd.getpwnam(names.unix(account)).pw_uid
    return given


def running(config: Config, account: str, uid: int | None) -> Iterable[str]:
    left = processes.alive(config, {account: uid})
    return [f"pid {pid}" for pid in sorted(left | cgroups.members(cgroups.everywhere(config, account)))]


def user_rows(config: Config, account: str, uid: int | None) -> Iterable[str]:
    """Rows of the user in the host's account files, as owner or as a member of a group."""
    for path in ACCOUNT_FILES:
        with contextlib.suppress(FileNotFoundError):
            for row in Path(path).read_text().splitlines():
                fields = row.split(":")
                by_uid = path in ACCOUNT_FILES[:1] and uid is not None and fields[2:3] == [str(uid)]
                if fields[0] in (names.unix(account), str(uid)) or by_uid:
                    yield f"{path} {fields[0]}"
                elif names.unix(account) in fields[-1].split(","):
                    yield f"{path} {fields[0]} (member)"


def account_paths(config: Config, account: str, uid: int | None) -> Iterable[str]:
    """Files and folders that bear the account's name or uid."""
    user = names.unix(account)
    places = [
        paths.principals(config, account),
        paths.account(config, account),
        paths.notice(config, account),
        paths.ready(config, account),
        paths.podman_run(config, account),
        paths.doors(config, account),
        fence.CRONTABS / user,
        Path("/var/mail") / user,
        Path("/var/spool/mail") / user,
        Path("/var/lib/systemd/linger") / user,
        Path("/run/sudo/ts") / user,
        Path("/var/lib/sudo/lectured") / user,
    ]
    if uid is not None:
        places += [Path(f"/run/user/{uid}"), *fence.at_jobs(uid)]
    return sorted({str(one.resolve().parent / one.name) for one in places if os.path.lexists(one)})


def lease_file(config: Config, account: str, uid: int | None) -> Iterable[str]:
    return [str(path)] if (path := paths.lease(config, account)).exists() else []


def locks(config: Config, account: str, uid: int | None) -> Iterable[str]:
    """A lock's file goes with its holder, unless that was killed; the next clean takes it along."""
    files = (paths.lock(config, name) for name in (account, f"{account}.lease", *rescue.places(account)))
    return [str(file) for file in files if file.exists()]


def slot(config: Config, account: str, uid: int | None) -> Iterable[str]:
    return [f"slot {given}"] if (given := ledger.slots(config).get(account)) else []


def owned_files(config: Config, account: str, uid: int | None) -> Iterable[str]:
    """Files of this uid or gid where anybody may write: known roots only, never across a mount, and not what is inside
    of one that is listed, as that goes as a whole."""
    roots = [str(root) for root in OPEN_FOLDERS if root.is_dir()]
    if uid is None or not roots:
        return []
    owned = ["(", "-uid", str(uid), "-o", "-gid", str(uid), ")", "-print0", "-prune"]
    ran = run(["find", *roots, "-ignore_readdir_race", "-xdev", *owned], timeout=120, check=False)
    problems = [line for line in ran.err.splitlines() if "No such file or directory" not in line]
    if ran.code != 0 and problems:
        raise Later(f"find: {problems[0]}")
    return [path for path in ran.out.split("\0") if path]


def ipc(config: Config, account: str, uid: int | None) -> Iterable[str]:
    """System V shared memory, semaphores and queues: `uid cuid` follow their names in each table's header."""
    for kind in ("shm", "sem", "msg"):
        rows = [row.split() for row in Path(f"/proc/sysvipc/{kind}").read_text().splitlines()]
        for row in rows[1:]:
            entry = dict(zip(rows[0], row, strict=False))
            if uid is not None and str(uid) in (entry["uid"], entry["cuid"]):
                yield f"{kind} {row[1]}"


def keys(config: Config, account: str, uid: int | None) -> Iterable[str]:
    return keyrings.listed(uid) if uid is not None else []


def packet_filter(config: Config, account: str, uid: int | None) -> Iterable[str]:
    return nft.traces(config, account)


def net(config: Config, account: str, uid: int | None) -> Iterable[str]:
    return network.traces(account)


def groups(config: Config, account: str, uid: int | None) -> Iterable[str]:
    return [str(top) for top in cgroups.everywhere(config, account)]


def mounts(config: Config, account: str, uid: int | None) -> Iterable[str]:
    """Mount points in this process's view that lie in the account's storage or run folders."""
    below = tuple(f"{one}/" for one in (paths.subvolume(config, account), paths.podman_run(config, account)))
    for row in Path("/proc/self/mountinfo").read_text().splitlines():
        target = row.split()[4]
        if f"{target}/".startswith(below):
            yield target


def subvolumes(config: Config, account: str, uid: int | None) -> Iterable[str]:
    """The account's subvolume or whatever bears its name, and those that the holder nested inside."""
    storage.check_pool(config)
    top = paths.subvolume(config, account)
    if os.path.lexists(top):
        yield str(top)
        if storage.is_subvolume(top):
            yield from (f"subvolume {one} in {top}" for one in storage.nested(config, storage.subvolume_id(top)))


def quota_groups(config: Config, account: str, uid: int | None) -> Iterable[str]:
    """The account's quota group, and those still counted in it."""
    if uid is None:
        return []
    mine = storage.group(uid)
    return [name for name, row in storage.groups(config).items() if name == mine or mine in row.parents]


def containers(config: Config, account: str, uid: int | None) -> Iterable[str]:
    from . import containers as part

    return part.traces(config, account)


def meter(config: Config, account: str, uid: int | None) -> Iterable[str]:
    return meters.traces(config, account)


def cluster(config: Config, account: str, uid: int | None) -> Iterable[str]:
    """Jobs, association, QOS, reservation and Slurm account, where there is a Slurm."""
    if config.slurm is None:
        return []
    from . import slurm_end

    return slurm_end.traces(config, account)


LISTINGS: dict[str, Listing] = {
    "slurm": cluster,
    "process": running,
    "user": user_rows,
    "file": account_paths,
    "owned file": owned_files,
    "container": containers,
    "ipc": ipc,
    "keyring": keys,
    "packet filter": packet_filter,
    "network": net,
    "cgroup": groups,
    "mount": mounts,
    "storage": subvolumes,
    "quota group": quota_groups,
    "meter": meter,
    "slot": slot,
    "lease": lease_file,
    "lock": locks,
}
