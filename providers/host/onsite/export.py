"""An operator's copy of an ended account's files: tar, handed on piece by piece, in a sandbox that only reads.

It runs under the account's limits, beside the fence, and is killed when the account is taken back or goes on.
"""

import os
import subprocess
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import PurePosixPath
from typing import IO, Any

from . import cgroups, lease, lock, paths, readonly, rescue
from .config import Config
from .errors import Later, Refused

PIECE = 192 << 10
MOST = 100
"""Paths that one request may name."""


def export(config: Config, account: str, include: Sequence[str], put: Callable[[bytes], None]) -> dict[str, Any]:
    """Give the tar to `put`; how many bytes it was. Refused of an account in use and of one that is gone."""
    try:
        with lock.held(config, rescue.places(account)[-1], 0.0), os.fdopen(os.memfd_create("tenure"), "w+b") as said:
            process = start(config, account, include, said)
            try:
                return {"bytes": hand_on(account, process, said, put)}
            finally:
                process.kill()
                process.wait()
    except Later as busy:
        raise Refused(f"{account}: is being exported already, or its limits do not stand: {busy}") from busy


def start(config: Config, account: str, include: Sequence[str], said: IO[bytes]) -> "subprocess.Popen[bytes]":
    """tar, in the account's cgroup; under the lease's lock, so that whoever ends the fence finds it there."""
    with lock.lease(config, account):
        known = lease.read(config, account)
        if known is None or not paths.home(config, account).is_dir():
            raise Refused(f"{account}: nothing of it is here")
        if known.fenced is None:
            raise Refused(f"{account}: is in use: fence it first, or let its holder fetch the files")
        argv, handles = readonly.tar(config, account, include)
        enter = partial(cgroups.enter, config, account, cgroups.EXPORT)
        return subprocess.Popen(
            argv, env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"}, pass_fds=handles, cwd="/", preexec_fn=enter,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=said,
        )  # fmt: skip


def hand_on(
    account: str, process: "subprocess.Popen[bytes]", said: IO[bytes], put: Callable[[bytes], None]
) -> int:
    """All that tar writes; Refused when it was killed or could not read everything."""
    assert process.stdout is not None
    total = 0
    with process.stdout as pieces:
        while piece := pieces.read(PIECE):
            put(piece)
            total += len(piece)
    code = process.wait()
    if code < 0 or code > 128:
        raise Refused(f"{account}: was ended, as the account is taken back or goes on; what came is not whole")
    if code:
        said.seek(0)
        lines = said.read(1 << 16).decode(errors="replace").splitlines() or [f"exit {code}"]
        raise Refused(f"{account}: tar: {lines[0]}"[:400])
    return total


def checked(include: Any) -> list[str]:
    """Paths below the home, as tar is given them; Refused when one leads elsewhere."""
    if not isinstance(include, list) or len(include) > MOST:
        raise Refused(f"include: must be a list of at most {MOST} paths")
    for one in include:
        if not isinstance(one, str) or not one or len(one) > 4096 or "\0" in one:
            raise Refused(f"include: not a path: {one!r}"[:200])
        if one.startswith("/") or ".." in PurePosixPath(one).parts:
            raise Refused(f"include: must be below the home: {one!r}"[:200])
    return [str(PurePosixPath(one)) for one in include]
