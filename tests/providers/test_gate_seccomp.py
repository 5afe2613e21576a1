"""What the filters deny, by running the shell's filter as the kernel would, and by reading the containers' list."""

import errno
import json
import struct
from typing import Any

import pytest

from providers.host.onsite import seccomp

ALLOWED = 0
SUBVOLUME_CREATE, SNAPSHOT_CREATE, FICLONE, TIOCSTI, TCGETS, FIONREAD = (
    *(0x5000940E, 0x50009417, 0x40049409, 0x5412, 0x5401, 0x541B),
)
AF_UNIX, AF_INET, AF_INET6, AF_NETLINK, AF_PACKET, AF_ALG, AF_VSOCK = 1, 2, 10, 16, 17, 38, 40
FAMILIES = [
    *((family, ALLOWED) for family in (AF_UNIX, AF_INET, AF_INET6, AF_NETLINK)),
    *((family, errno.EAFNOSUPPORT) for family in (AF_PACKET, AF_ALG, AF_VSOCK)),
]
NEW_USER, THREAD = 0x10000000, 0x3D0F00
MACHINES = sorted(seccomp.MACHINES)


def shell(machine: str, name: str, *arguments: int, architecture: int | None = None, plus: int = 0) -> int:
    """The errno with which the filter answers this call, 0 when it lets it through."""
    own, numbers = seccomp.MACHINES[machine]
    number = {**numbers, **seccomp.EVERYWHERE, "read": 0, "getpid": 39}[name] + plus
    data = struct.pack("=iIQ6Q", number, architecture or own, 0, *arguments, *[0] * (6 - len(arguments)))
    program = list(struct.iter_unpack("=HBBI", seccomp.shell(machine)))
    position, register = 0, 0
    while True:
        code, true, false, value = program[position]
        position += 1
        if code == seccomp.LOAD:
            (register,) = struct.unpack_from("=I", data, value)
        elif code == seccomp.AND:
            register &= value
        elif code == seccomp.RETURN:
            return ALLOWED if value == seccomp.ALLOW else value & 0xFFFF
        else:
            held = {
                seccomp.EQUAL: register == value,
                seccomp.AT_LEAST: register >= value,
                seccomp.ANY_BIT: register & value != 0,
            }[code]
            position += true if held else false


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("command", [SUBVOLUME_CREATE, SNAPSHOT_CREATE, FICLONE, SUBVOLUME_CREATE | 0xDEAD << 32])
def test_btrfs_ioctls_are_denied(machine: str, command: int) -> None:
    """No nested subvolume and no clone, also with junk in the half that the kernel does not read."""
    assert shell(machine, "ioctl", 3, command) == errno.ENOTTY


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("command", [TIOCSTI, TIOCSTI | 1 << 40, 0x541C, 0x401C5820])
def test_ioctls_that_act_for_somebody_else_are_denied(machine: str, command: int) -> None:
    """No typing into a terminal, no change of a file's project."""
    assert shell(machine, "ioctl", 0, command) == errno.EPERM


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("command", [TCGETS, FIONREAD])
def test_a_terminals_own_ioctls_pass(machine: str, command: int) -> None:
    """Job control and window sizes work."""
    assert shell(machine, "ioctl", 0, command) == ALLOWED


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("call", ["clone", "unshare"])
def test_new_namespaces_are_denied(machine: str, call: str) -> None:
    """A user namespace would give capabilities inside."""
    assert shell(machine, call, NEW_USER) == errno.EPERM


@pytest.mark.parametrize("machine", MACHINES)
def test_threads_pass(machine: str) -> None:
    """What pthread_create asks for is allowed."""
    assert shell(machine, "clone", THREAD) == ALLOWED


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("name", ["mount", "keyctl", "setns", "bpf", "open_tree", "quotactl_fd", "file_setattr"])
def test_calls_that_change_confinement_are_denied(machine: str, name: str) -> None:
    """Mounts, keyrings and the like are none of a holder's business."""
    assert shell(machine, name) == errno.EPERM


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize(("family", "answer"), FAMILIES)
def test_only_sockets_of_a_network_namespace_pass(machine: str, family: int, answer: int) -> None:
    """vsock and the like would lead past the account's network, also with junk in the half that is not read."""
    assert (shell(machine, "socket", family, 1), shell(machine, "socket", family | 1 << 40, 1)) == (answer, answer)


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("name", seccomp.HIDDEN)
def test_newer_calls_look_absent(machine: str, name: str) -> None:
    """Programs fall back to what the filter can look into."""
    assert shell(machine, name) == errno.ENOSYS


@pytest.mark.parametrize("machine", MACHINES)
def test_another_architectures_calls_are_denied(machine: str) -> None:
    """A 32-bit program cannot reach the same calls under other numbers."""
    assert shell(machine, "read", architecture=0x40000003) == errno.ENOSYS


def test_x32_calls_are_denied() -> None:
    """x32's numbers are those of x86_64 with one bit more."""
    assert shell("x86_64", "getpid", plus=0x40000000) == errno.ENOSYS


def test_both_machines_deny_the_same_calls() -> None:
    """No call was forgotten for one of the machines."""
    assert seccomp.X86_64.keys() == seccomp.AARCH64.keys()


def listed(name: str, *arguments: int) -> bool:
    """Whether the containers' list lets this call through."""
    rules = json.loads(seccomp.profile())["syscalls"]
    mine = [rule for rule in rules if name in rule["names"] and rule["action"] == "SCMP_ACT_ALLOW"]
    return any(all(holds(one, arguments) for one in rule.get("args") or ()) for rule in mine if not rule["includes"])


def holds(condition: dict[str, Any], arguments: tuple[int, ...]) -> bool:
    value = arguments[condition["index"]]
    if condition["op"] == "SCMP_CMP_MASKED_EQ":
        return bool(value & condition["value"] == condition["valueTwo"])
    return bool((value == condition["value"]) is (condition["op"] == "SCMP_CMP_EQ"))


@pytest.mark.parametrize(("family", "answer"), FAMILIES)
def test_containers_have_the_same_sockets(family: int, answer: int) -> None:
    """In a container too only the network namespace's sockets are there."""
    assert listed("socket", family, 1, 0) is (answer == ALLOWED)


def test_no_rule_for_containers_overlaps_a_refusal() -> None:
    """libseccomp takes no list in which a call is both allowed and refused."""
    rules = json.loads(seccomp.profile())["syscalls"]
    refused = [rule for rule in rules if "socket" in rule["names"] and rule["action"] != "SCMP_ACT_ALLOW"]
    asked = [[one["value"] for one in sorted(rule["args"], key=lambda one: one["index"])] for rule in refused]
    assert not any(listed("socket", values[0], 3, values[1]) for values in asked)


def test_containers_have_their_machines_calls_alone() -> None:
    """As in a shell, no 32-bit program reaches the same calls under other numbers."""
    assert not any(one["subArchitectures"] for one in json.loads(seccomp.profile())["archMap"])


@pytest.mark.parametrize(
    ("command", "passes"),
    [
        *((SUBVOLUME_CREATE, False), (SNAPSHOT_CREATE, False), (FICLONE, False), (SUBVOLUME_CREATE | 1 << 33, False)),
        *((TCGETS, True), (FIONREAD, True)),
    ],
)
def test_containers_have_the_same_ioctls(command: int, passes: bool) -> None:
    """In a container too a nested subvolume is denied and a terminal works."""
    assert listed("ioctl", 3, command) is passes


@pytest.mark.parametrize(("flags", "passes"), [(NEW_USER, False), (THREAD, True)])
def test_containers_have_the_same_namespaces(flags: int, passes: bool) -> None:
    """In a container too a user namespace is denied and a thread works."""
    assert listed("clone", flags) is passes


@pytest.mark.parametrize("name", ["keyctl", "mount", "clone3", "copy_file_range", "io_uring_setup"])
def test_containers_lack_the_same_calls(name: str) -> None:
    """The runtime's default list has some of these; ours has none."""
    assert not listed(name)
