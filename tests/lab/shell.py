"""Running programs and keeping daemons for a lab: argv only, time-outs always, pids recorded with their start."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.lab.place import Place, Unfit


def run(argv: Sequence[str], *, input: str | None = None, check: bool = True, timeout: float = 60) -> str:
    """Run and give what it printed; RuntimeError with its complaint when it failed."""
    done = subprocess.run(
        list(argv), input=input, capture_output=True, text=True, timeout=timeout, errors="replace", check=False
    )
    if check and done.returncode != 0:
        raise RuntimeError(f"{' '.join(argv)}: exit {done.returncode}: {(done.stderr or done.stdout).strip()[-600:]}")
    return done.stdout


def until(fact: Callable[[], bool], what: str, seconds: float = 20) -> None:
    """Wait until `fact` holds; Unfit names `what` did not come."""
    deadline = time.monotonic() + seconds
    while not fact():
        if time.monotonic() > deadline:
            raise Unfit(f"The lab gave up after {seconds:g} s waiting for {what}.")
        time.sleep(0.01)


def start(place: Place, name: str, argv: Sequence[str], environment: dict[str, str] | None = None) -> int:
    """Start a daemon at the site and record its pid; one that runs already stays."""
    if (pid := pid_of(place, name)) is not None:
        return pid
    with open(place.path("log") / f"{name}.log", "ab") as log:
        process = subprocess.Popen(
            [*place.inside, *argv],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            cwd="/",
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", **(environment or {})},
        )
    record(place, name, process.pid)
    return process.pid


def record(place: Place, name: str, pid: int) -> None:
    place.run.mkdir(parents=True, exist_ok=True)
    (place.path("pids") / name).write_text(f"{pid} {born(pid)}")


def pid_of(place: Place, name: str) -> int | None:
    """The daemon's pid while it runs; the recorded start tells it from a later process of the same number."""
    with contextlib.suppress(FileNotFoundError, ValueError):
        pid, start_time = (place.path("pids") / name).read_text().split()
        if born(int(pid)) == start_time:
            return int(pid)
    return None


def born(pid: int) -> str:
    """When the process started, in the kernel's ticks; empty when it is gone or a zombie."""
    with contextlib.suppress(OSError):
        words = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        return "" if words[0] in "ZX" else words[19]
    return ""


def stop(place: Place, name: str, number: int = signal.SIGTERM) -> None:
    """End the recorded daemon and see it gone; not running is success."""
    if (pid := pid_of(place, name)) is not None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
        try:
            until(lambda: gone(place, name), f"{name} to end", 5)
        except Unfit:
            os.kill(pid, signal.SIGKILL)
            until(lambda: gone(place, name), f"{name} to die", 5)
    (place.path("pids") / name).unlink(missing_ok=True)


def gone(place: Place, name: str) -> bool:
    pid = pid_of(place, name)
    if pid is not None:
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)
    return pid_of(place, name) is None
