"""A hand-written on-site program's other end: answers JSON lines as a test's script says, in this process."""

import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

from providers.protocol import TryLater

HELLO = {"hello": {"version": "v", "now": 0.0, "boot_id": "b", "cgroup": "v1"}}
Answer = Callable[[dict[str, Any]], "dict[str, Any] | bytes | None"]
"""From a request: the answer's fields (its id is added), raw bytes to send instead, or None to say nothing."""


def ok(value: object) -> dict[str, Any]:
    return {"ok": value}


def error(kind: str, message: str = "so it is", remedy: str = "") -> dict[str, Any]:
    return {"error": {"kind": kind, "message": message, "remedy": remedy}}


class Peer:
    """One running `serve`: the stream that `providers.host.agent` speaks to, and the thread behind it."""

    def __init__(self, answer: Answer, first: bytes) -> None:
        self._near, self._far = socket.socketpair()
        self._answer, self._first = answer, first
        self.closed = False
        self.complaint = ""
        self.code: int | None = None
        threading.Thread(target=self._play, daemon=True).start()

    def send(self, data: bytes, until: float) -> None:
        try:
            self._near.settimeout(max(0.001, until - time.monotonic()))
            self._near.sendall(data)
        except OSError as lost:
            raise TryLater(f"lost: {lost!r}") from lost

    def receive(self, until: float) -> bytes:
        try:
            self._near.settimeout(max(0.001, until - time.monotonic()))
            return self._near.recv(65536)
        except OSError as lost:
            raise TryLater(f"lost: {lost!r}") from lost

    def status(self, until: float) -> int | None:
        return self.code

    def diagnosis(self) -> str:
        return self.complaint

    @property
    def alive(self) -> bool:
        return not self.closed

    def close(self) -> None:
        self.closed = True
        with contextlib.suppress(OSError):
            self._near.shutdown(socket.SHUT_RDWR)
        self._near.close()

    def _play(self) -> None:
        with contextlib.suppress(OSError), self._far, self._far.makefile("rb") as lines:
            self._far.sendall(self._first)
            for line in lines:
                request = json.loads(line)
                said = self._answer(request)
                if said is None:
                    continue
                self._far.sendall(said if isinstance(said, bytes) else to_line({"id": request["id"], **said}))


def to_line(message: object) -> bytes:
    return json.dumps(message).encode() + b"\n"


class Peers:
    """Starts peers that answer alike, and keeps them to be looked at."""

    def __init__(self, answer: Answer, first: bytes | None = None) -> None:
        self._answer, self._first = answer, to_line(HELLO) if first is None else first
        self.started: list[Peer] = []
        self.complaint: str = ""
        self.code: int | None = None

    def __call__(self) -> Peer:
        peer = Peer(self._answer, self._first)
        peer.complaint, peer.code = self.complaint, self.code
        self.started.append(peer)
        return peer
