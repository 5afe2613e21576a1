"""One kept SSH connection to a host whose key is pinned. The host's key is compared before anything secret is sent."""

import base64
import contextlib
import io
import logging
import socket
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

import paramiko
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from providers.host import certificates
from providers.host.certificates import LONGEST_LINE
from providers.protocol import NeedsHuman, TryLater

CONNECT = 5.0
BANNER = 5.0
AUTH = 10.0
OPEN = 5.0
KEEPALIVE = 10
SILENCE = 20_000
"""Milliseconds after which a host that acknowledges nothing counts as lost."""
LONGEST_PAUSE = 10.0
DIAGNOSIS = 600

logging.getLogger("paramiko").addHandler(logging.NullHandler())  # its errors reach the caller, translated

ALGORITHMS = {"ssh-rsa": ("rsa-sha2-512", "rsa-sha2-256")}
"""Host key type → signature algorithms, where they differ from the type's own name."""


@dataclass(frozen=True, slots=True)
class HostKey:
    """The one key that a host may show."""

    kind: str
    blob: bytes

    @property
    def line(self) -> str:
        """`type base64`"""
        return f"{self.kind} {base64.b64encode(self.blob).decode()}"


def host_key(line: str) -> HostKey:
    """From a `known_hosts` line, or one without the host's name. ValueError when it is neither."""
    words = line.split() if line.isprintable() and len(line) < LONGEST_LINE else []
    at = next((i for i, word in enumerate(words[:2]) if word in certificates.KEY_TYPES), None)
    if at is None or len(words) < at + 2:
        raise ValueError("must be a known_hosts line: host, key type, key (as `ssh-keyscan` prints it)")
    try:
        blob = base64.b64decode(words[at + 1], validate=True)
        paramiko.PKey.from_type_string(words[at], blob)
    except (ValueError, paramiko.SSHException) as broken:
        raise ValueError("the key in the known_hosts line is damaged") from broken
    return HostKey(words[at], blob)


@dataclass(frozen=True, slots=True)
class Address:
    """Where a host is, which key it must show, and who we are there."""

    site: str
    host: str
    port: int
    user: str
    key: HostKey

    def __str__(self) -> str:
        return f"{self.user}@{self.host}:{self.port}"

    def known_hosts(self) -> str:
        """The `known_hosts` line of this host as the stock client looks it up."""
        return f"{self.host if self.port == 22 else f'[{self.host}]:{self.port}'} {self.key.line}"


def login_key(pem: str, what: str) -> paramiko.PKey:
    """The private key to log in with. `what` names it in the error."""
    key = certificates.private_key(pem, what)
    kind: type[paramiko.PKey] = paramiko.Ed25519Key
    if isinstance(key, rsa.RSAPrivateKey):
        kind = paramiko.RSAKey
    elif isinstance(key, ec.EllipticCurvePrivateKey):
        kind = paramiko.ECDSAKey
    return kind.from_private_key(io.StringIO(pem))


def agent_keys() -> Sequence[paramiko.PKey]:
    """The keys of the operator's own SSH agent."""
    return paramiko.Agent().get_keys()


class Stream:
    """One command on the host: bytes in, bytes out. Not thread-safe. A lost connection or a time-out is TryLater."""

    def __init__(self, channel: paramiko.Channel, where: str) -> None:
        self._channel, self._where = channel, where

    def send(self, data: bytes, until: float) -> None:
        """All of `data` before the monotonic instant `until`."""
        try:
            self._channel.settimeout(_left(until))
            self._channel.sendall(data)
        except (OSError, EOFError, paramiko.SSHException) as lost:
            raise TryLater(f"ssh {self._where}: lost while sending: {lost!r}") from lost

    def receive(self, until: float) -> bytes:
        """What has come, at least one byte; empty when the command has closed its output."""
        try:
            self._channel.settimeout(_left(until))
            return self._channel.recv(1 << 16)
        except TimeoutError as late:
            raise TryLater(f"ssh {self._where}: no answer in time") from late
        except (OSError, EOFError, paramiko.SSHException) as lost:
            raise TryLater(f"ssh {self._where}: connection lost: {lost!r}") from lost

    def finish(self) -> None:
        """No more input comes."""
        try:
            self._channel.shutdown_write()
        except (OSError, EOFError, paramiko.SSHException) as lost:
            raise TryLater(f"ssh {self._where}: connection lost: {lost!r}") from lost

    def status(self, until: float) -> int | None:
        """The command's exit status, None when it is not known in time or it was killed."""
        if not self._channel.status_event.wait(max(0.0, until - time.monotonic())):
            return None
        code = self._channel.recv_exit_status()
        return code if code >= 0 else None

    def diagnosis(self) -> str:
        """What the command has said on stderr, its end, in one line."""
        said = b""
        while self._channel.recv_stderr_ready():
            said = (said + self._channel.recv_stderr(1 << 16))[-DIAGNOSIS:]
        return " ".join(said.decode(errors="replace").split())

    @property
    def alive(self) -> bool:
        transport = self._channel.get_transport()
        return (
            not (self._channel.closed or self._channel.eof_received) and transport is not None and transport.is_active()
        )

    def close(self) -> None:
        """End it. With the connection lost there is nobody left to tell."""
        with contextlib.suppress(OSError, EOFError, paramiko.SSHException):
            self._channel.close()


class Connection:
    """Connects on first use, again after a loss, and fails fast for a while after a failure. Thread-safe."""

    def __init__(self, address: Address, keys: Callable[[], Sequence[paramiko.PKey]], let_in: str = "") -> None:
        """`let_in` says what to do when the host accepts none of the keys."""
        self.address = address
        self._keys = keys
        self._let_in = let_in or f"`tenure site prepare {address.site}` puts Tenure's key on the host"
        self._lock = threading.Lock()
        self._transport: paramiko.Transport | None = None
        self._failures = 0
        self._not_before = 0.0

    def open(self, command: str) -> Stream:
        """Start `command` on the host (already quoted, see `providers.host.shell`)."""
        transport = self._live()
        try:
            channel = transport.open_session(timeout=OPEN)
            channel.settimeout(OPEN)
            channel.exec_command(command)
        except paramiko.ChannelException as refused:
            raise TryLater(f"ssh {self.address}: the host refuses another channel: {refused!r}") from refused
        except (OSError, EOFError, paramiko.SSHException) as failed:
            # The peer may be gone without a word; only a new connection tells.
            transport.close()
            raise TryLater(f"ssh {self.address}: cannot open a channel: {failed!r}") from failed
        return Stream(channel, str(self.address))

    def close(self) -> None:
        """Drop the connection; the next use makes a new one."""
        with self._lock:
            if self._transport is not None:
                self._transport.close()
            self._transport = None

    def _live(self) -> paramiko.Transport:
        if not self._lock.acquire(timeout=CONNECT + BANNER + AUTH):
            raise TryLater(f"ssh {self.address}: still connecting")
        try:
            if self._transport is not None and self._transport.is_active():
                return self._transport
            self._wait_out()
            try:
                self._transport = self._connect()
            except TryLater as failed:
                self._failures += 1
                pause = min(LONGEST_PAUSE, 0.25 * 2 ** min(self._failures, 10))
                self._not_before, failed.after = time.monotonic() + pause, timedelta(seconds=pause)
                raise
            self._failures = 0
            return self._transport
        finally:
            self._lock.release()

    def _wait_out(self) -> None:
        """While a host does not answer, callers are told at once: they must not queue up behind its time-outs."""
        left = self._not_before - time.monotonic()
        if left > 0:
            raise TryLater(f"ssh {self.address}: did not answer just now", after=timedelta(seconds=left))

    def _connect(self) -> paramiko.Transport:
        address = self.address
        try:
            plain = socket.create_connection((address.host, address.port), timeout=CONNECT)
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, SILENCE)
            transport = paramiko.Transport(plain)
        except OSError as unreachable:
            raise TryLater(f"ssh {address}: cannot connect: {unreachable}") from unreachable
        try:
            self._greet(transport)
            self._log_in(transport)
        except BaseException:
            transport.close()
            raise
        transport.set_keepalive(KEEPALIVE)
        return transport

    def _greet(self, transport: paramiko.Transport) -> None:
        """Key exchange, and the host's key compared with the pinned one."""
        address, pinned = self.address, self.address.key
        transport.banner_timeout, transport.handshake_timeout, transport.auth_timeout = BANNER, BANNER, AUTH
        transport.get_security_options().key_types = ALGORITHMS.get(pinned.kind, (pinned.kind,))
        try:
            transport.start_client(timeout=BANNER)
            shown = transport.get_remote_server_key()
        except paramiko.ssh_exception.IncompatiblePeer as other:
            raise self._wrong_key(f"has no key of type {pinned.kind}, or shares no algorithm with us") from other
        except (OSError, EOFError, paramiko.SSHException) as failed:
            raise TryLater(f"ssh {address}: key exchange failed: {failed!r}") from failed
        if shown.asbytes() != pinned.blob:
            raise self._wrong_key(f"shows another host key ({shown.fingerprint})")

    def _wrong_key(self, seen: str) -> NeedsHuman:
        return NeedsHuman(
            f"ssh {self.address}: the host {seen} than the pinned one; nothing was sent to it",
            remedy=f"find out why; if the host was made anew, set host_key of site {self.address.site}",
        )

    def _log_in(self, transport: paramiko.Transport) -> None:
        tried = 0
        for key in self._keys():
            tried += 1
            try:
                transport.auth_publickey(self.address.user, key)
            except paramiko.AuthenticationException:
                continue
            except (OSError, EOFError, paramiko.SSHException) as failed:
                raise TryLater(f"ssh {self.address}: log-in failed: {failed!r}") from failed
            if transport.is_authenticated():
                return
        raise NeedsHuman(
            f"ssh {self.address}: the host accepts none of {tried} keys",
            remedy=self._let_in,
        )


def _left(until: float) -> float:
    """Seconds to `until`; never 0, which would mean "do not block"."""
    return max(0.001, until - time.monotonic())
