"""Client of the on-site program: JSON lines over a few kept channels, one of which is always free for ends."""

import base64
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from providers.protocol import NeedsHuman, Refused, SiteError, Stale, TryLater

LONGEST_LINE = 4 << 20
HELLO = 15.0
WORK_CHANNELS = 5
URGENT_CHANNELS = 2
"""sshd's MaxSessions is 10 by default: together the two stay below it."""


class Stream(Protocol):
    """A running `serve`: what `providers.host.ssh.Stream` is, or a test's own peer."""

    def send(self, data: bytes, until: float) -> None: ...
    def receive(self, until: float) -> bytes: ...
    def status(self, until: float) -> int | None: ...
    def diagnosis(self) -> str: ...
    def close(self) -> None: ...

    @property
    def alive(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class Hello:
    """What the on-site program says first."""

    version: str
    boot_id: str
    cgroup: str


class Peer:
    """One running `serve`. Used by one thread at a time; after any doubt it is closed and never used again."""

    def __init__(self, stream: Stream, where: str) -> None:
        self._stream, self._where = stream, where
        self._buffer = bytearray()
        self._next = 0
        self.hello = self._greet()

    @property
    def alive(self) -> bool:
        return self._stream.alive and not self._buffer

    def close(self) -> None:
        self._stream.close()

    def request(self, op: str, arguments: Mapping[str, object], until: float) -> object:
        """One request and its answer's `ok`. Raises what the site answered, or TryLater when it is not known whether
        the site did it."""
        self._next += 1
        line = json.dumps({"id": self._next, "op": op, **arguments}, allow_nan=False).encode() + b"\n"
        if len(line) > LONGEST_LINE:
            raise Refused(f"{self._where}: {op}: request of {len(line)} bytes is too long")
        self._stream.send(line, until)
        return self._ok(op, self._line(until))

    def pieces(self, op: str, arguments: Mapping[str, object], idle: float, put: Callable[[bytes], object]) -> object:
        """A request whose answer comes after pieces, which go to `put`. It may last: `idle` seconds without anything
        are too long."""
        self._next += 1
        line = json.dumps({"id": self._next, "op": op, **arguments}, allow_nan=False).encode() + b"\n"
        self._stream.send(line, time.monotonic() + idle)
        while True:
            answer = self._line(time.monotonic() + idle)
            piece = answer.pop("piece", None)
            if piece is None or answer.get("id") != self._next:
                return self._ok(op, answer)
            try:
                data = base64.b64decode(str(piece), validate=True)
            except ValueError as broken:
                raise TryLater(f"{self._where}: {op}: a piece is damaged") from broken
            put(data)

    def _ok(self, op: str, answer: Mapping[str, object]) -> object:
        if answer.get("id") != self._next or ("ok" in answer) == ("error" in answer):
            raise TryLater(f"{self._where}: {op}: answered out of turn")
        if "error" in answer:
            raise _Answered(read_error(answer["error"], f"{self._where}: {op}"))
        return answer["ok"]

    def _greet(self) -> Hello:
        until = time.monotonic() + HELLO
        try:
            return read_hello(self._line(until))
        except (TryLater, ValueError) as failed:
            status, said = self._stream.status(time.monotonic() + 0.5), self._stream.diagnosis()
            if status is None and isinstance(failed, TryLater):
                raise
            raise NeedsHuman(
                f"{self._where}: the on-site program did not start: {said or failed}", remedy="tenure site prepare"
            ) from failed

    def _line(self, until: float) -> dict[str, object]:
        while (end := self._buffer.find(b"\n")) < 0:
            if len(self._buffer) > LONGEST_LINE:
                raise TryLater(f"{self._where}: a line of the answer is too long")
            more = self._stream.receive(until)
            if not more:
                raise TryLater(
                    f"{self._where}: the on-site program ended: {self._stream.diagnosis() or 'no reason given'}"
                )
            self._buffer += more
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        return read_line(line, self._where)


class _Answered(Exception):
    """An error that the site itself answered: the channel is sound and stays open."""

    def __init__(self, error: SiteError) -> None:
        super().__init__(str(error))
        self.error = error


def read_line(line: bytes, where: str) -> dict[str, object]:
    """One JSON object; anything else is TryLater: we do not know what the site did."""
    try:
        answer = json.loads(line)
    except (ValueError, RecursionError) as broken:
        raise TryLater(f"{where}: the answer is not JSON: {line[:80]!r}") from broken
    if not isinstance(answer, dict):
        raise TryLater(f"{where}: the answer is not an object: {line[:80]!r}")
    return answer


def read_hello(answer: Mapping[str, object]) -> Hello:
    """ValueError when it is not a hello."""
    hello = answer.get("hello")
    if not isinstance(hello, dict):
        raise ValueError("it did not say hello")
    words = [hello.get(key) for key in ("version", "boot_id", "cgroup")]
    if not all(isinstance(word, str) for word in words):
        raise ValueError("its hello lacks version, boot_id or cgroup")
    return Hello(*(str(word) for word in words))


def read_error(error: object, where: str) -> SiteError:
    """The exception that stands for the site's own error."""
    fields = error if isinstance(error, dict) else {}
    kind, message, remedy = (fields.get(key) for key in ("kind", "message", "remedy"))
    text = f"{where}: {message}"
    if kind == "refused":
        return Refused(text)
    if kind == "stale":
        return Stale(text)
    if kind == "human":
        return NeedsHuman(text, remedy=remedy if isinstance(remedy, str) and remedy else "look at the host")
    return TryLater(text if kind == "later" else f"{where}: answered an error of no known kind")


class _Lane:
    """At most `size` peers at a time; idle ones are kept."""

    def __init__(self, size: int) -> None:
        self.free = threading.BoundedSemaphore(size)
        self.idle: list[Peer] = []


class Agent:
    """The on-site program of one site. Thread-safe."""

    def __init__(self, start: Callable[[], Stream], where: str) -> None:
        self._start, self._where = start, where
        self._lock = threading.Lock()
        self._work, self._urgent = _Lane(WORK_CHANNELS), _Lane(URGENT_CHANNELS)
        self._epoch = 0

    def call(self, op: str, *, timeout: float, urgent: bool = False, **arguments: object) -> object:
        """The `ok` of one request. `urgent` requests (ends) never wait behind work."""
        until = time.monotonic() + timeout
        with self._peer(until, urgent) as peer:
            return peer.request(op, arguments, until)

    def pieces(self, op: str, *, idle: float, put: Callable[[bytes], object], **arguments: object) -> object:
        """The `ok` of one request, after the pieces that come before it have gone to `put`."""
        with self._peer(time.monotonic() + idle, urgent=False) as peer:
            return peer.pieces(op, arguments, idle, put)

    def hello(self) -> Hello:
        """What a channel's program said of itself."""
        with self._peer(time.monotonic() + HELLO, urgent=False) as peer:
            return peer.hello

    def close(self) -> None:
        """Close idle channels now, those in use when they come back."""
        with self._lock:
            self._epoch += 1
            idle = self._work.idle + self._urgent.idle
            self._work.idle, self._urgent.idle = [], []
        for peer in idle:
            peer.close()

    @contextmanager
    def _peer(self, until: float, urgent: bool) -> Iterator[Peer]:
        lane = self._urgent if urgent else self._work
        if not lane.free.acquire(timeout=max(0.0, until - time.monotonic())):
            raise TryLater(f"{self._where}: all channels were busy")
        try:
            peer, epoch = self._take(lane)
            try:
                yield peer
            except _Answered as answered:
                self._give_back(lane, peer, epoch)
                raise answered.error from None
            except BaseException:
                # The others may hang on the same dead connection: idle ones are not trusted either.
                peer.close()
                self.close()
                raise
            self._give_back(lane, peer, epoch)
        finally:
            lane.free.release()

    def _take(self, lane: _Lane) -> tuple[Peer, int]:
        """A kept peer that is still there, else a new one. A kept one that said something unasked is not used."""
        while True:
            with self._lock:
                epoch, peer = self._epoch, lane.idle.pop() if lane.idle else None
            if peer is None:
                return self._begin(), epoch
            if peer.alive:
                return peer, epoch
            peer.close()

    def _begin(self) -> Peer:
        stream = self._start()
        try:
            return Peer(stream, self._where)
        except BaseException:
            stream.close()
            raise

    def _give_back(self, lane: _Lane, peer: Peer, epoch: int) -> None:
        with self._lock:
            if epoch == self._epoch and peer.alive:
                lane.idle.append(peer)
                return
        peer.close()
