"""What a holder's processes may not ask of the kernel, as a BPF program for shells and as a profile for containers.

Denied: btrfs' own ioctls (a nested subvolume has no quota), clones of extents across subvolumes (they pass by the
limit), project ids (XFS' quota), typing into a terminal for somebody else, new namespaces, mounts, keyrings,
io_uring (which runs system calls behind a filter's back) and all families of sockets but four: vsock, for one, belongs
to no network namespace. Nothing here is needed by a program that computes.
"""

import errno
import json
import os
import struct
from pathlib import Path
from typing import Any

PROFILE = Path("/usr/share/containers/seccomp.json")

BTRFS = 0x94
"""Type byte of every btrfs ioctl, FICLONE and FIDEDUPERANGE too; programs copy plainly when these fail."""
IOCTLS = {
    0x5412: errno.EPERM,  # TIOCSTI
    0x541C: errno.EPERM,  # TIOCLINUX
    0x541D: errno.EPERM,  # TIOCCONS
    0x5423: errno.EPERM,  # TIOCSETD
    0x401C5820: errno.EPERM,  # FS_IOC_FSSETXATTR: sets a file's project, and with it whose quota it uses
}
NAMESPACES = 0x7E020000
"""CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET."""

FAMILIES = (1, 2, 10, 16)
"""AF_UNIX, AF_INET, AF_INET6, AF_NETLINK: those that a network namespace holds, and its packet filter and rate."""

HIDDEN = ("clone3", "io_uring_setup", "io_uring_enter", "io_uring_register", "copy_file_range")
"""Answered as if the kernel had no such call, so that programs use the older one."""

X86_64 = {
    **{"ioctl": 16, "socket": 41},
    **{"clone": 56, "syslog": 103, "pivot_root": 155, "chroot": 161, "acct": 163, "mount": 165},
    **{"umount2": 166, "swapon": 167, "swapoff": 168, "reboot": 169, "init_module": 175, "delete_module": 176},
    **{"quotactl": 179, "lookup_dcookie": 212, "kexec_load": 246, "add_key": 248, "request_key": 249, "keyctl": 250},
    **{"unshare": 272, "perf_event_open": 298, "fanotify_init": 300, "open_by_handle_at": 304, "setns": 308},
    **{"finit_module": 313, "kexec_file_load": 320, "bpf": 321, "userfaultfd": 323, "copy_file_range": 326},
}
AARCH64 = {
    **{"ioctl": 29, "socket": 198},
    **{"clone": 220, "syslog": 116, "pivot_root": 41, "chroot": 51, "acct": 89, "mount": 40},
    **{"umount2": 39, "swapon": 224, "swapoff": 225, "reboot": 142, "init_module": 105, "delete_module": 106},
    **{"quotactl": 60, "lookup_dcookie": 18, "kexec_load": 104, "add_key": 217, "request_key": 218, "keyctl": 219},
    **{"unshare": 97, "perf_event_open": 241, "fanotify_init": 262, "open_by_handle_at": 265, "setns": 268},
    **{"finit_module": 273, "kexec_file_load": 294, "bpf": 280, "userfaultfd": 282, "copy_file_range": 285},
}
EVERYWHERE = {
    **{"io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427, "open_tree": 428, "move_mount": 429},
    **{"fsopen": 430, "fsconfig": 431, "fsmount": 432, "fspick": 433, "clone3": 435, "mount_setattr": 442},
    **{"quotactl_fd": 443, "open_tree_attr": 467, "file_setattr": 469},
}
JUDGED = {"ioctl", "clone", "unshare", "socket"}
"""Calls that are allowed or not by their arguments."""
MACHINES = {"x86_64": (0xC000003E, X86_64), "aarch64": (0xC00000B7, AARCH64)}
"""Machine: AUDIT_ARCH of the kernel's own calls, and the numbers that differ between machines."""

LOAD, EQUAL, AT_LEAST, ANY_BIT, AND, RETURN = 0x20, 0x15, 0x35, 0x45, 0x54, 0x06
NUMBER, ARCHITECTURE, FIRST, SECOND = 0, 4, 16, 24
"""Where the call's number, its architecture and its first arguments' low halves lie (both machines: little end first).
The kernel reads flags and ioctl commands as 32 bits, so the upper half must not be looked at."""
ALLOW = 0x7FFF0000


def shell(machine: str | None = None) -> bytes:
    """The filter of a login's processes, ready for `bwrap --seccomp`. KeyError for a machine we have no numbers of."""
    architecture, numbers = MACHINES[machine or os.uname().machine]
    numbers = {**numbers, **EVERYWHERE}
    lines = [
        *((LOAD, 0, 0, ARCHITECTURE), (EQUAL, 1, 0, architecture), refusal(errno.ENOSYS)),
        *((LOAD, 0, 0, NUMBER), (AT_LEAST, 0, 1, 0x40000000), refusal(errno.ENOSYS)),
    ]
    for name, number in numbers.items():
        if name in JUDGED:
            continue
        lines += [(EQUAL, 0, 1, number), refusal(errno.ENOSYS if name in HIDDEN else errno.EPERM)]
    lines += namespaces(numbers["clone"], NAMESPACES) + namespaces(numbers["unshare"], NAMESPACES | 0x80)
    lines += families(numbers["socket"]) + ioctls(numbers["ioctl"])
    lines.append((RETURN, 0, 0, ALLOW))
    return b"".join(struct.pack("=HBBI", *line) for line in lines)


def refusal(number: int) -> tuple[int, int, int, int]:
    return (RETURN, 0, 0, 0x00050000 | number)


def namespaces(call: int, flags: int) -> list[tuple[int, int, int, int]]:
    """Refuse `call` when its first argument has one of `flags`."""
    return [
        *((EQUAL, 0, 4, call), (LOAD, 0, 0, FIRST), (ANY_BIT, 0, 1, flags), refusal(errno.EPERM)),
        (RETURN, 0, 0, ALLOW),
    ]


def families(call: int) -> list[tuple[int, int, int, int]]:
    """Refuse `call` unless its first argument is one of FAMILIES."""
    lines = [(LOAD, 0, 0, FIRST)]
    lines += [(EQUAL, len(FAMILIES) - place, 0, family) for place, family in enumerate(FAMILIES)]
    lines += [refusal(errno.EAFNOSUPPORT), (RETURN, 0, 0, ALLOW)]
    return [(EQUAL, 0, len(lines), call), *lines]


def ioctls(call: int) -> list[tuple[int, int, int, int]]:
    """Refuse `call` with the commands that are denied."""
    lines = [(LOAD, 0, 0, SECOND)]
    for command, number in IOCTLS.items():
        lines += [(EQUAL, 0, 1, command), refusal(number)]
    lines += [(AND, 0, 0, 0xFF00), (EQUAL, 0, 1, BTRFS << 8), refusal(errno.ENOTTY)]
    return [(EQUAL, 0, len(lines), call), *lines]


def containers(profile: Any) -> dict[str, Any]:
    """The runtime's own default profile with the same things taken out. It is a list of what is allowed."""
    denied = {*X86_64, *AARCH64, *EVERYWHERE} - JUDGED
    rules = []
    for rule in profile["syscalls"]:
        if rule["action"] == "SCMP_ACT_ALLOW":
            taken = denied | JUDGED
            rule = {**rule, "names": [name for name in rule["names"] if name not in taken]}
        if rule["names"]:
            rules.append(rule)
    rules.append(allowed("clone", masked(0, NAMESPACES, 0)))
    rules.append(allowed("unshare", masked(0, NAMESPACES | 0x80, 0)))
    # beside the runtime's own refusal of netlink's audit: rules that overlap are an error to libseccomp
    audit = {**equal(2, 9), "op": "SCMP_CMP_NE"}
    rules += [allowed("socket", equal(0, family), *([audit] if family == 16 else [])) for family in FAMILIES]
    # Such a list cannot say "unequal under a mask", so: allowed when any bit of the type differs.
    for bit in range(8, 16):
        rules.append(allowed("ioctl", masked(1, 1 << bit, (BTRFS << 8 ^ 1 << bit) & 1 << bit)))
    # 32-bit calls are other numbers, and socketcall hides its arguments: none of them, as in a shell
    own = [{**one, "subArchitectures": []} for one in profile["archMap"]]
    return {**profile, "archMap": own, "syscalls": rules}


def allowed(name: str, *conditions: dict[str, Any]) -> dict[str, Any]:
    return {
        "names": [name],
        "action": "SCMP_ACT_ALLOW",
        "args": list(conditions),
        "comment": "",
        "includes": {},
        "excludes": {},
    }


def equal(index: int, value: int) -> dict[str, Any]:
    return {"index": index, "value": value, "valueTwo": 0, "op": "SCMP_CMP_EQ"}


def masked(index: int, mask: int, value: int) -> dict[str, Any]:
    """Argument `index` has `value` in the bits of `mask`."""
    return {"index": index, "value": mask, "valueTwo": value, "op": "SCMP_CMP_MASKED_EQ"}


def profile() -> str:
    """The containers' profile as podman reads it, from the one that the host's podman came with."""
    return json.dumps(containers(json.loads(PROFILE.read_text())))
