"""The account part: a Unix user with a uid of its own, and the parent cgroup that holds its CPU, memory and pids."""

import os
import pwd
from typing import Any

from . import cgroups, names, paths, processes
from .config import Config
from .errors import Human, Later
from .run import run
from .spec import Account, Spec

PAGE = os.sysconf("SC_PAGE_SIZE")
SHELL = "/bin/sh"


def observe(config: Config, account: Account) -> dict[str, Any] | None:
    """The user and its limits as the host shows them; None without the user. A missing limit shows as 0."""
    user = found(account.id)
    if user is None:
        return None
    limits = cgroups.tree().limits(cgroups.path(config, account.id)) or {}
    facts: dict[str, Any] = {"uid": user.pw_uid, "user": user.pw_name, "home": user.pw_dir}
    return facts | {name: limits.get(name, 0) for name in ("cpu_milli", "memory", "pids")}


def ensure(config: Config, account: Account) -> dict[str, Any]:
    """Make or repair the user and its limits, and read both back."""
    user = found(account.id)
    if user is None:
        add_user(config, account)
    elif user.pw_uid != account.uid:
        raise Human(
            f"{user.pw_name}: has uid {user.pw_uid}, the ledger says {account.uid}",
            f"find out who made the user {user.pw_name}, then remove it",
        )
    limit(config, account)
    seen = observe(config, account)
    if seen is None or not stands(account.spec, seen):
        raise Later(f"{names.unix(account.id)}: reads back as {seen}")
    return seen


def limit(config: Config, account: Account) -> None:
    """Set the limits alone: what a reboot takes away."""
    cgroups.tree().limit(cgroups.path(config, account.id), account.spec)


def stands(spec: Spec, seen: dict[str, Any]) -> bool:
    """Whether the limits seen are the spec's; the kernel rounds memory down to whole pages."""
    wanted = {"cpu_milli": spec.cpu_milli, "memory": spec.memory // PAGE * PAGE, "pids": spec.pids}
    return all(seen[name] == value for name, value in wanted.items())


def found(account: str) -> pwd.struct_passwd | None:
    try:
        return pwd.getpwnam(names.unix(account))
    except KeyError:
        return None


def add_user(config: Config, account: Account) -> None:
    """No password can match '*', and unlike '!' it does not count as a locked account to sshd.

    The home that the host knows is root's folder around the holder's own: from one that the holder writes, PAM and
    others would read files (~/.pam_environment) and act on them outside the sandbox.
    """
    argv = ["useradd", "--uid", str(account.uid), "--user-group", "--groups", config.group, "--password", "*"]
    argv += ["--home-dir", str(paths.subvolume(config, account.id)), "--no-create-home", "--no-log-init"]
    argv += ["--shell", SHELL, "--key", "SUB_UID_COUNT=0", "--key", "SUB_GID_COUNT=0", names.unix(account.id)]
    ran = run(argv, check=False)
    if ran.code == 6:
        raise Human(f"no group {config.group!r} on this host", "run `tenure site prepare` for this site")
    if ran.code != 0:
        raise Later(f"useradd {names.unix(account.id)}: exit {ran.code}: {ran.said}")


def remove(config: Config, account: str) -> None:
    """Take the user and its cgroups away; processes first, a user in use cannot go."""
    user = found(account)
    processes.kill(config, {account: user.pw_uid if user else None})
    if user is not None:
        ran = run(["userdel", names.unix(account)], check=False)
        if found(account) is not None:
            raise Later(f"userdel {names.unix(account)}: exit {ran.code}: {ran.said}")
    cgroups.remove(config, account)
