"""The way from the confined shell to the gate: a socket, and `container`, the small client that lies in the sandbox.

The client hands over its words and its three open files; the gate, outside and root, does the very same as for
`ssh host container …`. Whoever speaks is known by the kernel's word for their uid, never by what they say.
"""

import contextlib
import fcntl
import json
import os
import select
import socket
import stat
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

from . import files, paths
from .config import Config
from .sandbox import DOOR
from .spec import Account

SPEAKERS = 32
"""Requests that one login may have under way."""
WORDS = 1 << 16
PYTHON = "/usr/bin/python3"

CLIENT = f"""#!{PYTHON} -IS
import json, os, signal, socket, sys
words = json.dumps(sys.argv[1:]).encode()
if len(words) > {WORDS}:
    sys.exit("container: too many words")
line = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
try:
    line.connect("{DOOR}")
except OSError as error:
    sys.exit(f"container: the gate does not answer: {{error}}")
tell = lambda number, frame: line.send(str(int(number)).encode())
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT, signal.SIGWINCH):
    signal.signal(number, tell)
socket.send_fds(line, [words], [0, 1, 2])
answer = line.recv(16)
sys.exit(int(answer) if answer else 125)
"""

Answer = Callable[[list[str], socket.socket], int]


def client() -> str | None:
    """The client's text, or None where the host's Python would not be seen inside."""
    return CLIENT if Path(PYTHON).exists() else None


class Door:
    """The listening end, for one login."""

    def __init__(self, config: Config, account: Account) -> None:
        files.folder(paths.doors(config, account.id))
        self.uid = account.uid
        self.storage = os.stat(paths.home(config, account.id)).st_dev
        self.path = paths.doors(config, account.id) / str(os.getpid())
        self.speakers: set[int] = set()
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path)
        self.socket.bind(str(self.path))
        os.chown(self.path, account.uid, account.uid)
        os.chmod(self.path, 0o600)
        self.socket.listen(SPEAKERS)

    def serve(self, process: subprocess.Popen[bytes], answer: Answer) -> None:
        """Answer until `process` ends, each request in a process of its own. When the login's terminal hangs up, the
        process is killed: only what is in the terminal's foreground would hear of it otherwise."""
        ended = os.pidfd_open(process.pid)
        poll = select.poll()
        poll.register(ended, select.POLLIN)
        poll.register(self.socket, select.POLLIN)
        if os.isatty(0):
            poll.register(0, 0)
        try:
            while process.poll() is None:
                woken = {handle for handle, _ in poll.poll()}
                if 0 in woken:
                    process.kill()
                    process.wait()
                elif self.socket.fileno() in woken:
                    self.accept(answer)
                self.reap()
        finally:
            os.close(ended)

    def accept(self, answer: Answer) -> None:
        line, _ = self.socket.accept()
        with line:
            _, uid, _ = struct.unpack("3i", line.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
            if uid != self.uid or len(self.speakers) >= SPEAKERS:
                return
            pid = os.fork()
            if pid == 0:
                self.speak(line, answer)
            self.speakers.add(pid)

    def speak(self, line: socket.socket, answer: Answer) -> None:
        """In the child: take over the holder's files, answer, and end. A session of its own, so that the terminal,
        which is not this process's own then, neither stops nor interrupts it."""
        code = 125
        try:
            self.socket.close()
            os.setsid()
            line.settimeout(5)
            said, handles, _, _ = socket.recv_fds(line, WORDS + 1, 3)
            line.settimeout(None)
            if len(handles) == 3 and not any(forbidden(handle, self.storage) for handle in handles):
                for target, handle in enumerate(handles):
                    os.dup2(handle, target)
                    os.close(handle)
                code = answer(words(said), line)
            line.send(str(code).encode())
        finally:
            os._exit(code)

    def reap(self) -> None:
        for pid in list(self.speakers):
            with contextlib.suppress(ChildProcessError):
                if os.waitpid(pid, os.WNOHANG)[0] == 0:
                    continue
            self.speakers.discard(pid)

    def close(self) -> None:
        self.socket.close()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path)


def forbidden(handle: int, storage: int) -> bool:
    """Whether root must not write here for a holder: a file that is not on their storage (its device) may be one of
    /proc, where the kernel asks who writes and not who opened it."""
    flags = fcntl.fcntl(handle, fcntl.F_GETFL)
    seen = os.fstat(handle)
    return flags & os.O_ACCMODE != os.O_RDONLY and stat.S_ISREG(seen.st_mode) and seen.st_dev != storage


def words(said: bytes) -> list[str]:
    """The client's words; a client that says anything else has said nothing."""
    try:
        found = json.loads(said)
    except ValueError:
        return []
    return found if isinstance(found, list) and all(isinstance(word, str) for word in found) else []
