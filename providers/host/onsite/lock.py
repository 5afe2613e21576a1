"""Locks between the processes of one site. A lock dies with its holder; the files lie in the run folder.

Three of them, taken in this order: an account's long work, an account's lease (held for milliseconds, so that a fence
never waits for long work), the site's uids, slots and packet filter.
"""

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

from . import files, names, paths
from .config import Config
from .errors import Later

PATIENCE = 60.0
"""Seconds to wait for a lock: longer than any operation's own time-out."""


def account(config: Config, account: str, *, patience: float = PATIENCE) -> contextlib.AbstractContextManager[None]:
    """Only one process changes this account's parts or starts its containers."""
    return held(config, names.check(account), patience)


def lease(config: Config, account: str, *, patience: float = PATIENCE) -> contextlib.AbstractContextManager[None]:
    """Only one process rewrites this account's lease or principals."""
    return held(config, f"{names.check(account)}.lease", patience)


def site(config: Config) -> contextlib.AbstractContextManager[None]:
    """Only one process hands out uids and slots or makes the packet filter's table."""
    return held(config, "site", PATIENCE)


def held(config: Config, name: str, patience: float) -> contextlib.AbstractContextManager[None]:
    """Hold the lock `name`; Later when somebody else kept it for `patience` seconds."""
    return take_turn(paths.lock(config, name), patience)


@contextlib.contextmanager
def take_turn(path: Path, patience: float = PATIENCE) -> Iterator[None]:
    """Hold the lock that this file is."""
    files.folder(path.parent)
    handle = take(path, patience)
    try:
        yield
    finally:
        # Only its holder removes the file, so nothing named after an account outlives it.
        path.unlink(missing_ok=True)
        os.close(handle)


def take(path: Path, patience: float) -> int:
    """A handle that holds the lock. A file that its last holder removed while we waited is not the lock any more."""
    until = time.monotonic() + patience
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            wait(handle, path.name, patience, until)
            if same(handle, path):
                return handle
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)


def same(handle: int, path: Path) -> bool:
    """Whether the path still leads to the open file."""
    try:
        there = os.stat(path)
    except FileNotFoundError:
        return False
    return os.path.samestat(os.fstat(handle), there)


def wait(handle: int, name: str, patience: float, until: float) -> None:
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() >= until:
                raise Later(f"lock {name}: held by another process for {patience:g} s") from None
            time.sleep(0.005)
