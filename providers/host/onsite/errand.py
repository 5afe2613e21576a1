"""Doing one checked request of a holder about containers: counted, started, watched to its end."""

import contextlib
import os
import select
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator

from . import commands, lock, podman
from .config import Config
from .errors import Later, Refused
from .spec import Account

SPARE = 32
"""Stopped containers that may lie about beside the offer's: podman's records of them are outside the quota."""
START = 60.0
"""Seconds in which podman must have started a container."""
FAILED = range(125, 128)
"""podman's exit statuses when it could not start the command."""

Admit = Callable[[], object]


def do(config: Config, account: Account, words: list[str], admit: Admit, line: socket.socket | None = None) -> int:
    """Do what `words` ask for and return the exit status. Refused when it is not allowed. `admit` raises once the
    lease is over; `line`, when given, tells of the holder's signals and of their going away."""
    request = commands.parse(words, account.spec)
    if request.verb == "images":
        os.write(1, "".join(f"{image}\n" for image in account.spec.images).encode())
        return 0
    if not podman.ready(config, account.id):
        with lock.account(config, account.id):
            podman.prepare(config, account.id)
    if request.verb == "run":
        return run(config, account, request, admit, line)
    extra = {"list": ["ps", "--all"], "exec": ["exec", "--user", f"{account.uid}:{account.uid}"]}
    code = attend(launch(config, account, [*extra.get(request.verb, [request.verb]), *request.words]), line)
    if request.verb == "rm":
        with lock.account(config, account.id):
            podman.forget_logs(config, account.id)
    return code


def run(config: Config, account: Account, request: commands.Request, admit: Admit, line: socket.socket | None) -> int:
    """Start one container more, if the offer has room for it. Counting and starting happen under the account's lock."""
    name = request.name or f"c-{os.urandom(4).hex()}"
    with lock.account(config, account.id):
        admit()
        room(config, account, name)
        podman.forget_logs(config, account.id)
        before = podman.running(config, account.id)
        process = launch(config, account, ["run", *podman.confinement(config, account, name), *request.words])
        start(config, account, process, None if request.detached else before)
        podman.bound_buffers(config, account.id)
    code = attend(process, line)
    if code in FAILED:
        clear_away(config, account, name)
    return code


def room(config: Config, account: Account, name: str) -> None:
    """Refused when the offer's number of containers runs already, or too many stopped ones lie about."""
    most, known = account.spec.containers, podman.existing(config, account.id)
    if len(podman.running(config, account.id)) >= most:
        raise Refused(
            f"your offer's limit is {most} running container{'s' if most != 1 else ''}, and that many run now: "
            f"`container list`, `container stop NAME`\n套餐上限为同时运行 {most} 个容器,请先停止一个容器。"
        )
    if any(name in taken for taken in known.values()):
        raise Refused(f"there is a container {name} already: `container rm {name}`, or take another name")
    if len(known) >= most + SPARE:
        raise Refused(f"{len(known)} containers exist, most of them stopped: remove some with `container rm NAME`")


def launch(config: Config, account: Account, words: list[str]) -> subprocess.Popen[bytes]:
    environment = {**podman.environment(config), "TERM": os.environ.get("TERM", "xterm")}
    return subprocess.Popen(podman.argv(config, account.id, *words), env=environment)


def start(config: Config, account: Account, process: subprocess.Popen[bytes], before: set[str] | None) -> None:
    """Wait until podman has ended or, when it stays attached, a container runs that was not there `before`."""
    until = time.monotonic() + START
    while process.poll() is None:
        if before is not None and podman.running(config, account.id) - before:
            return
        if time.monotonic() >= until:
            process.kill()
            process.wait()
            raise Later(f"podman did not start the container in {START:g} s")
        time.sleep(0.005)


def clear_away(config: Config, account: Account, name: str) -> None:
    """Remove the container if podman could not start it: it would be in the way. One that did run stays."""
    with lock.account(config, account.id):
        state = podman.call(config, account.id, "inspect", "--format", "{{.State.Status}}", name, check=False)
        if state.out.strip() in ("created", "initialized"):
            podman.call(config, account.id, "rm", "--force", "--time", "0", name, check=False)
        podman.forget_logs(config, account.id)


def attend(process: subprocess.Popen[bytes], line: socket.socket | None = None) -> int:
    """Wait for `process`, passing on signals; its exit status, as a shell says it. When the holder's end of `line`
    goes away, so does podman (the container stays)."""
    if process.poll() is None:
        with passing(process), contextlib.closing(Watched(process, line)) as watched:
            while process.poll() is None:
                watched.wait()
    return process.returncode if process.returncode >= 0 else 128 - process.returncode


@contextlib.contextmanager
def passing(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """Signals to the gate go on to `process`; the terminal's own reach it without us."""

    def on(number: int, frame: object) -> None:
        if number not in (signal.SIGINT, signal.SIGQUIT):
            process.send_signal(number)

    wanted = (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, on) for number in wanted}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class Watched:
    """Wakes when the process ends or the line speaks."""

    def __init__(self, process: subprocess.Popen[bytes], line: socket.socket | None) -> None:
        self.process, self.line = process, line
        self.ended = os.pidfd_open(process.pid)
        self.poll = select.poll()
        self.poll.register(self.ended, select.POLLIN)
        if line is not None:
            self.poll.register(line, select.POLLIN)

    def wait(self) -> None:
        for handle, _ in self.poll.poll():
            if self.line is not None and handle == self.line.fileno():
                self.heard(self.line.recv(16))

    def heard(self, said: bytes) -> None:
        """The line carries numbers of signals that may be passed on; its end means that nobody waits any more."""
        if not said:
            self.poll.unregister(self.line or -1)
            self.process.kill()
        elif said.isdigit() and int(said) in (signal.SIGINT, signal.SIGTERM, signal.SIGWINCH, signal.SIGQUIT):
            self.process.send_signal(int(said))

    def close(self) -> None:
        os.close(self.ended)
