"""What a host still has of an account, listed with plain commands that share no code with the product.

The ledger of used uids and the tombstone (an id and a generation) stay by design: they keep a uid from being used
twice and a late worker from bringing an account back. They hold nothing of the tenant's.
"""

import contextlib
import os
import re
import subprocess
from collections.abc import Iterable
from pathlib import Path

from tests.lab.place import Place

ROOTS = ("/tmp", "/var/tmp", "/dev/shm", "/dev/mqueue", "/run/user", "/var/mail", "/var/spool/cron", "/home",
         "/var/lib/systemd/linger", "/run/lock")


def listing(place: Place, account: str, uid: int, roots: Iterable[str] = ROOTS) -> list[str]:
    """One line for each thing found; an empty list is an empty host. `roots`: where others' files lie too."""
    found = [*_processes(uid), *_names(account, uid), *_files(place, account, uid, roots), *_pool(place, account, uid),
             *_texts(place, account), *_kernel(place, account, uid), *_jobs(account)]
    return sorted(set(found))


def _run(*argv: str) -> str:
    ran = subprocess.run(argv, capture_output=True, text=True, timeout=20, check=False)
    told = [line for line in ran.stderr.splitlines() if not line.endswith("No such file or directory")]
    if ran.returncode != 0 and (told or argv[0] != "find"):  # what others remove meanwhile is not there any more
        return f"UNLISTED: {' '.join(argv)}: {ran.stderr.strip()}"
    return ran.stdout


def _lines(text: str, *marks: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if "UNLISTED" in line or any(mark in line for mark in marks)]


def _processes(uid: int) -> list[str]:
    found = []
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            text = status.read_text()
        except OSError:
            continue
        uids = re.search(r"^Uid:\s+(.*)$", text, re.M)
        if uids and str(uid) in uids[1].split():
            found.append(f"process {status.parent.name}")
    return found


def _names(account: str, uid: int) -> list[str]:
    found = []
    for file in ("/etc/passwd", "/etc/shadow", "/etc/group", "/etc/gshadow", "/etc/subuid", "/etc/subgid"):
        if os.path.exists(file):
            text = Path(file).read_text()
            found += [f"{file}: {line.split(':')[0]}" for line in text.splitlines()
                      if account in line or f":{uid}:" in line]
    return found


def _files(place: Place, account: str, uid: int, roots: Iterable[str]) -> list[str]:
    found = []
    for root in (*roots, str(place.folder), str(place.run)):
        if not os.path.isdir(root):
            continue
        walked = _run("find", root, "-xdev", "(", "-uid", str(uid), "-o", "-gid", str(uid), "-o", "-name",
                      f"*{account}*", ")", "-not", "-path", "*/tombstones/*")
        found += [f"file {line}" for line in walked.splitlines() if line]
    return found


def _pool(place: Place, account: str, uid: int) -> list[str]:
    """Subvolumes, and the quota group of the account's uid."""
    pool = str(place.path("pool"))
    found = [f"subvolume {line}" for line in _lines(_run("btrfs", "subvolume", "list", "-o", pool), account)]
    return found + [f"qgroup {line}" for line in _lines(_run("btrfs", "qgroup", "show", pool), f"1/{uid} ")]


def _texts(place: Place, account: str) -> list[str]:
    """Files of the site's own that speak of the account, but for the ledger and its tombstone."""
    state = place.path("state")
    found = []
    for file in state.rglob("*") if state.is_dir() else ():
        with contextlib.suppress(FileNotFoundError, IsADirectoryError):
            kept = file == state / "uids" or file.parent.name == "tombstones"
            found += [f"file {file}"] if not kept and account in file.read_text(errors="replace") else []
    return found


def _kernel(place: Place, account: str, uid: int) -> list[str]:
    inside = place.inside
    found = [f"nft {line}" for line in _lines(_run(*inside, "nft", "list", "ruleset"), account, str(uid))]
    found += [f"link {line}" for line in _lines(_run(*inside, "ip", "-o", "link"), account)]
    found += [f"address {line}" for line in _lines(_run(*inside, "ip", "-o", "addr"), account)]
    found += [f"netns {line}" for line in _lines(_run("ip", "netns", "list"), account)]
    found += [f"mount {line}" for line in _lines(Path("/proc/self/mountinfo").read_text(), account)]
    cgroups = _run("find", "/sys/fs/cgroup", "-type", "d", "-name", f"*{account}*")
    found += [f"cgroup {line}" for line in cgroups.splitlines()]
    found += [f"ipc {line}" for line in _lines(_run("ipcs", "-m", "-q", "-s", "-c"), f" {uid} ")]
    found += [f"keys {line}" for line in Path("/proc/key-users").read_text().splitlines()
              if line.strip().startswith(f"{uid}:")]
    return found


def _jobs(account: str) -> list[str]:
    spool = Path("/var/spool/cron/crontabs")
    crontabs = [f"crontab {file.name}" for file in spool.glob("*") if account in file.name] if spool.is_dir() else []
    return crontabs + [f"at {line}" for line in _lines(_run("atq"), account)]
