"""A host as somebody who may change it sees it: run an argv with an input, over SSH. The only place where an argv
becomes a shell's line."""

import contextlib
import shlex
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from providers.host import ssh
from providers.protocol import NeedsHuman, TryLater

TIMEOUT = 30.0
LONGEST_OUTPUT = 16 << 20


@dataclass(frozen=True, slots=True)
class Ran:
    """How a command ended and what it said."""

    code: int
    out: bytes
    err: str


class Host(Protocol):
    """Runs commands with root's rights."""

    def run(self, argv: Sequence[str], given: bytes = b"", timeout: float = TIMEOUT) -> Ran:
        """TryLater when it is not known how the command ended."""


def quoted(argv: Sequence[str]) -> str:
    """The argv as one line for a POSIX shell."""
    return shlex.join(argv)


def done(host: Host, argv: Sequence[str], given: bytes = b"") -> Ran:
    """As `run`, but an exit status other than 0 is NeedsHuman with what the command said."""
    ran = host.run(argv, given)
    if ran.code != 0:
        said = ran.err or ran.out.decode(errors="replace").strip()[-600:]
        raise NeedsHuman(
            f"{quoted(argv[:4])}: exit {ran.code}: {said}", remedy="put that right on the host, then prepare again"
        )
    return ran


class Remote:
    """A host over SSH; `sudo` is the path of sudo where the login is not root's."""

    def __init__(self, connection: ssh.Connection, sudo: str = "") -> None:
        self._connection, self._sudo = connection, sudo

    def run(self, argv: Sequence[str], given: bytes = b"", timeout: float = TIMEOUT) -> Ran:
        until = time.monotonic() + timeout
        line = quoted([self._sudo, "-n", "--", *argv] if self._sudo else argv)
        stream = self._connection.open(line)
        try:
            # Both ways at once: a command that answers before it has read all would block us, and we it.
            feeder = threading.Thread(target=_feed, args=(stream, given, until), daemon=True)
            feeder.start()
            out = bytearray()
            while more := stream.receive(until):
                out += more
                if len(out) > LONGEST_OUTPUT:
                    raise TryLater(f"{quoted(argv[:4])}: said more than {LONGEST_OUTPUT} bytes")
            feeder.join(max(0.0, until - time.monotonic()))
            code = stream.status(until)
            if code is None:
                raise TryLater(f"{quoted(argv[:4])}: it is not known how it ended")
            return Ran(code, bytes(out), stream.diagnosis())
        finally:
            stream.close()

    def close(self) -> None:
        self._connection.close()


def _feed(stream: ssh.Stream, given: bytes, until: float) -> None:
    """The command's input. A command that ends before it has read all shows in its exit status."""
    with contextlib.suppress(TryLater):
        if given:
            stream.send(given, until)
        stream.finish()
