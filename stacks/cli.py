"""Pulumi's CLI as a process: found in exactly one version, run in a group of its own, killed at its time-out."""

import os
import re
import select
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import BinaryIO

from stacks.errors import CliMissing, StackBroken, StackError, StackFailed, StackLocked, StackMissing

VERSION = "3.259.0"
"""The SDK's, to the last digit: engine and SDK speak a protocol that grows with each release."""
TAIL = 2000
"""How much of the CLI's last words an error carries, in characters."""
GRACE = timedelta(seconds=5)
"""Between asking the CLI to stop and killing it."""


@dataclass(frozen=True, slots=True)
class Done:
    """How one run of the CLI ended."""

    code: int
    output: str
    errors: str
    timed_out: bool


def cache() -> Path:
    """Where a CLI that Tenure had to fetch or build for itself is kept: outside any checkout."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "tenure" / "pulumi"


def find() -> Path | None:
    """The CLI on PATH or in the cache, in exactly our version."""
    on_path = shutil.which("pulumi")
    candidates = [Path(on_path)] if on_path else []
    candidates.append(cache() / "bin" / "pulumi")
    return next((path for path in candidates if version(path) == VERSION), None)


def version(path: Path) -> str | None:
    """What the CLI at `path` calls itself, without its `v`."""
    environment = {**os.environ, "PULUMI_SKIP_UPDATE_CHECK": "true"}
    try:
        answer = subprocess.run([str(path), "version"], capture_output=True, timeout=30, env=environment, text=True)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return answer.stdout.strip().removeprefix("v") if answer.returncode == 0 else None


def required() -> Path:
    """The CLI to use, or an error that says how to get it."""
    found = find()
    if found is None:
        raise CliMissing(f"no Pulumi {VERSION} on PATH or in {cache()}: python -m stacks.install")
    return found


def run(argv: Sequence[str], cwd: Path, environment: Mapping[str, str], timeout: timedelta) -> Done:
    """Run the CLI to its end or its time-out; then it is stopped, and so it is when the caller is interrupted.

    It writes to files, not to pipes: should the worker die, the CLI can still end in good order, save its state and
    let go of its lock, where a broken pipe would kill it."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        process = subprocess.Popen(
            argv,
            cwd=cwd,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            start_new_session=True,
        )
        timed_out = True
        try:
            timed_out = not _ends_within(process, timeout)
        finally:
            if timed_out:
                _stop(process)
        code = process.wait()
        return Done(code, _text(out), _text(err), timed_out)


def _ends_within(process: "subprocess.Popen[bytes]", timeout: timedelta) -> bool:
    """Wait on the process itself: `Popen.wait` with a time-out polls, and is late by up to 50 ms."""
    handle = os.pidfd_open(process.pid)
    try:
        readable, _, _ = select.select([handle], [], [], timeout.total_seconds())
    finally:
        os.close(handle)
    return bool(readable)


def _stop(process: "subprocess.Popen[bytes]") -> None:
    """Ask first: Pulumi then notes what was made and lets go of its lock. After that, kill the whole group."""
    process.send_signal(signal.SIGINT)
    if not _ends_within(process, GRACE):
        os.killpg(process.pid, signal.SIGKILL)


def _text(file: BinaryIO) -> str:
    file.seek(0)
    return file.read().decode(errors="replace")


LOCKED = re.compile(r"currently locked by \d+ lock")
HOLDER = re.compile(r"created by (\S*@(\S+) \(pid (\d+)\) at (\S+))")
MISSING = re.compile(r"no stack named|stack .* not found|could not find stack")
BROKEN = re.compile(
    r"failed to load checkpoint|snapshot integrity failure|unmarshal|unexpected end of JSON|invalid character .* JSON"
    r"|incorrect passphrase"
)


def failure(account: str, done: Done, secrets: Sequence[str]) -> StackError:
    """The error of a run that did not end well, without what must not be told."""
    words = (done.errors + "\n" + done.output).strip()
    for secret in secrets:
        words = words.replace(secret, "…")
    tail = words[-TAIL:]
    if done.timed_out:
        return StackFailed(f"stack {account}: Pulumi was killed at its time-out; it said: {tail}")
    if LOCKED.search(words):
        holder = HOLDER.search(words)
        return StackLocked(f"stack {account} is locked: {tail}", holder.group(1) if holder else "")
    if MISSING.search(words):
        return StackMissing(f"stack {account}: there is none: {tail}")
    if BROKEN.search(words):
        return StackBroken(f"stack {account}: its state cannot be read: {tail}", remedy="restore it from a backup")
    return StackFailed(f"stack {account}: Pulumi ended with {done.code}: {tail}")


def holder_ends(holder: str, within: timedelta) -> bool:
    """Whether a lock's holder is no more, or ends within this time: a CLI whose worker was killed saves its state and
    lets go within seconds. False for a process of another machine, of which nothing can be known here."""
    match = HOLDER.search(f"created by {holder}")
    if match is None or match.group(2) != os.uname().nodename:
        return False
    pid = int(match.group(3))
    try:
        if Path(f"/proc/{pid}/comm").read_text().strip() != "pulumi":
            return True
        handle = os.pidfd_open(pid)
    except (FileNotFoundError, ProcessLookupError):
        return True
    try:
        return bool(select.select([handle], [], [], within.total_seconds())[0])
    finally:
        os.close(handle)


def held_since(holder: str) -> datetime | None:
    """When the lock was taken, by its holder's clock."""
    match = HOLDER.search(f"created by {holder}")
    try:
        return datetime.fromisoformat(match.group(4)) if match else None
    except ValueError:
        return None
