"""What concerns the site as a whole: its folders, its accounts, its capacity, and whether it is fit."""

import os
import pwd
import time
from pathlib import Path
from typing import Any

from . import cgroups, files, lease, ledger, meters, names, nft, spec, storage
from .config import Config
from .errors import SiteFault

STATE = ("leases", "accounts", "tombstones", "notices", "slots", "usage")


def folders(config: Config) -> None:
    """Make the program's own folders; they are root's alone."""
    files.folder(config.state)
    files.folder(config.run, mode=0o711)
    for name in STATE:
        files.folder(config.state / name)


def accounts(config: Config) -> list[str]:
    """Ids of all accounts of which there is any trace here, looked up everywhere an account leaves one."""
    found = set(lease.listed(config)) | set(spec.listed(config))
    users = (user for user in pwd.getpwall() if config.uid_min <= user.pw_uid <= config.uid_max)
    found |= {account for user in users if (account := names.of(user.pw_name))}
    found |= {name for name in os.listdir(config.pool) if names.ID.fullmatch(name)}
    found |= {account for name in os.listdir(config.principals) if (account := names.of(name))}
    for root in (cgroups.ROOT, *cgroups.ROOT.iterdir()):
        if (root / config.cgroup).is_dir():
            found |= {name for name in os.listdir(root / config.cgroup) if names.ID.fullmatch(name)}
    found |= set(nft.quotas(config)) | meters.accounts(config)
    if config.slurm is not None:
        from . import slurm_end

        found |= slurm_end.accounts(config)
    # namespaces have no owner: another site on this machine may have made one, the ledger knows ours
    given = ledger.entries(config)
    spaces = os.listdir("/run/netns") if Path("/run/netns").is_dir() else []
    found |= {account for name in spaces if (account := names.of(name)) in given}
    return sorted(found)


def capacity(config: Config) -> dict[str, Any]:
    """What the host, or the cluster that it belongs to, has in all; storage is the pool's, free by its own count."""
    pool = os.statvfs(config.pool)
    cores, memory = os.cpu_count() or 1, os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if config.slurm is not None:
        from . import slurm

        cores, memory = slurm.size(config)
    return {
        "cpu_milli": cores * 1000,
        "memory": memory,
        "storage": pool.f_blocks * pool.f_frsize,
        "storage_free": pool.f_bavail * pool.f_frsize,
    }


def check(config: Config) -> list[dict[str, Any]]:
    """Each thing the site needs: green, or what is missing and what to do."""
    return [
        *(program(name, package) for name, package in programs(slurm=config.slurm is not None).items()),
        quota(config),
        space(config),
        reaper(config),
        group(config),
        principals(config),
        forwarding(config),
        uids(config),
        *(image_store(config) if config.podman.imagestore and config.slurm is None else []),
        *(model(name, path) for name, path in sorted(config.models.items())),
        *(finding(*one) for one in cluster(config)),
    ]


def programs(*, slurm: bool) -> dict[str, str]:
    """What the host must have, to who prepares it as to who checks it: program → Debian's package. Jobs of a cluster
    need no containers; the cluster itself is the site's own."""
    return {**PROGRAMS, **(OF_SLURM if slurm else OF_CONTAINERS)}


def cluster(config: Config) -> list[tuple[str, bool, str, str]]:
    """Slurm's daemons and settings, where there is a Slurm."""
    if config.slurm is None:
        return []
    from . import slurm_end

    return slurm_end.check(config)


OF_CONTAINERS = {"podman": "podman", "runc": "runc", "conmon": "conmon"}
OF_SLURM = {**dict.fromkeys(("sacctmgr", "scontrol", "squeue", "scancel", "sacct"), "slurm-client"), "munge": "munge"}
PROGRAMS = {
    "bwrap": "bubblewrap",
    "setpriv": "util-linux",
    "btrfs": "btrfs-progs",
    "nft": "nftables",
    "ip": "iproute2",
    "tc": "iproute2",
    "sudo": "sudo",
    "useradd": "passwd",
}


def finding(subject: str, ok: bool, seen: str, remedy: str = "") -> dict[str, Any]:
    return {"subject": subject, "ok": ok, "seen": seen, "remedy": "" if ok else remedy}


def program(name: str, package: str) -> dict[str, Any]:
    import shutil

    path = shutil.which(name, path="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
    return finding(f"program {name}", path is not None, path or "missing", f"apt-get install {package}")


def quota(config: Config) -> dict[str, Any]:
    """Simple quotas hold nested subvolumes too; with full quotas the gate alone forbids them."""
    try:
        storage.check_pool(config)
        storage.groups(config)
    except SiteFault as error:
        return finding("pool quotas", False, str(error), error.remedy)
    return finding("pool quotas", True, storage.quota_mode(config) or "on")


def space(config: Config) -> dict[str, Any]:
    free = os.statvfs(config.state)
    share = free.f_bavail / max(free.f_blocks, 1)
    return finding("space for leases", share > 0.02, f"{share:.0%} free", f"free space on {config.state}")


UNSEEN, LONG_UNSEEN = 5.0, 20.0
"""Seconds without a beat of the reaper's: it beats every second, and less often while it ends hundreds at once."""


def reaper(config: Config, unseen: float = UNSEEN) -> dict[str, Any]:
    """One that is frozen is active still: only a restart helps."""
    remedy = "start the reaper anew: systemctl restart tenure-site-reaper"
    try:
        age = time.time() - os.stat(config.run / "reaper").st_mtime
        pid = int((config.run / "reaper").read_text())
    except (FileNotFoundError, ValueError):
        return finding("reaper", False, "never seen", remedy)
    alive = Path(f"/proc/{pid}").exists()
    return finding("reaper", alive and age < unseen, f"pid {pid}, last seen {age:.0f} s ago", remedy)


def group(config: Config) -> dict[str, Any]:
    import grp

    there = any(one.gr_name == config.group for one in grp.getgrall())
    return finding(f"group {config.group}", there, "there" if there else "missing", f"groupadd --system {config.group}")


def principals(config: Config) -> dict[str, Any]:
    ok = config.principals.is_dir() and config.principals.stat().st_uid == 0
    remedy = "run `tenure site prepare` for this site"
    return finding("principals folder", ok, str(config.principals), remedy)


def forwarding(config: Config) -> dict[str, Any]:
    on = Path("/proc/sys/net/ipv4/ip_forward").read_text().strip() == "1"
    seen = "on" if on else "off until the first account" if config.masquerade else "off"
    return finding("forwarding", on or config.masquerade, seen, "sysctl -w net.ipv4.ip_forward=1")


def uids(config: Config) -> dict[str, Any]:
    left = config.uid_max - max(ledger.entries(config).values(), default=config.uid_min - 1)
    return finding("uids never used", left > 100, str(left), "raise uid_max in the site's configuration")


def image_store(config: Config) -> list[dict[str, Any]]:
    path = Path(config.podman.imagestore or "")
    return [finding("image store", path.is_dir(), str(path), "pull the offered images into it with podman --root")]


def model(name: str, path: Path) -> dict[str, Any]:
    return finding(f"model {name}", path.is_dir(), str(path), f"put the model's files at {path}")
