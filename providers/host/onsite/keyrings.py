"""The kernel's keyrings of a uid: PAM makes two at a login, and they stay until a reboot unless somebody ends them.

Only a process of that uid may; so a child takes the uid, invalidates them and ends.
"""

import os
import platform
import time
from pathlib import Path

from .errors import Later

KEYCTL = {"x86_64": 250, "aarch64": 219, "riscv64": 219, "ppc64le": 271, "s390x": 280, "loongarch64": 219}
PATIENCE = 5.0
GET_ID, INVALIDATE, GET_PERSISTENT = 0, 21, 22
PROCESS, USER, USER_SESSION = -2, -4, -5


def listed(uid: int) -> list[str]:
    """One line when the uid has keys, as the kernel counts them."""
    rows = (row.split(":") for row in Path("/proc/key-users").read_text().splitlines())
    return [f"{row[1].split()[1].split('/')[0]} keys of uid {uid}" for row in rows if row[0].strip() == str(uid)]


def end(uid: int) -> None:
    """End the uid's keyrings; the kernel's collector then takes up to two seconds, see `wait`."""
    if not listed(uid):
        return
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            invalidate(uid)
            code = 0
        finally:
            os._exit(code)
    os.waitpid(pid, 0)


def wait(uid: int) -> None:
    """See the uid's keyrings gone; Later when some stay, as those of a process that still runs do."""
    until = time.monotonic() + PATIENCE
    while left := listed(uid):
        if time.monotonic() >= until:
            raise Later(f"{left[0]}: still there")
        time.sleep(0.01)


def invalidate(uid: int) -> None:
    """As this uid, in the child alone: the persistent keyring where the kernel has it, the user's, its session's."""
    import ctypes

    call = ctypes.CDLL(None, use_errno=True).syscall
    number = KEYCTL[platform.machine()]
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    found = [call(number, GET_PERSISTENT, uid, PROCESS)]
    found += [call(number, GET_ID, which, 0) for which in (USER_SESSION, USER)]
    for key in found:
        if key > 0:
            call(number, INVALIDATE, key)
