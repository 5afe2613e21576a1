"""Where callbacks may go, checked at the one place that cannot be fooled: when the address is connected to.

Names are resolved once and the addresses found are the ones connected to, so a name that answers otherwise the second
time gains nothing. Redirects are not followed.
"""

import ipaddress
import socket
import ssl
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from functools import cache

import httpcore
from httpcore import ConnectError, NetworkBackend, NetworkStream
from httpcore import SyncBackend as RealBackend

from orchestrator.flows.delivery.patience import Line, Patience

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

SocketOption = (
    tuple[int, int, int] | tuple[int, int, bytes | bytearray] | tuple[int, int, None, int]
)


class Blocked(ConnectError):
    """The address is not one that callbacks may go to."""


def allowed(address: Address, allow: Sequence[Network]) -> bool:
    """Public addresses, and those that an operator listed."""
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    if any(address in network for network in allow if network.version == address.version):
        return True
    return address.is_global and not address.is_multicast and not _translated(address)


def blocked(host: str, allow: Sequence[Network]) -> str:
    """The address that this host is, when it is one in figures (or this machine) that callbacks may not go to; else
    empty. Names are decided when they are connected to."""
    try:
        address = ipaddress.ip_address("127.0.0.1" if host == "localhost" else host)
    except ValueError:
        return ""
    return "" if allowed(address, allow) else str(address)


def _translated(address: Address) -> bool:
    """IPv6 forms that carry an IPv4 address inside: a gateway would lead back in."""
    if not isinstance(address, ipaddress.IPv6Address):
        return False
    return (address.sixtofour is not None or address.teredo is not None
            or address in ipaddress.IPv6Network("64:ff9b::/96") or address in ipaddress.IPv6Network("64:ff9b:1::/48"))


class GuardedBackend(NetworkBackend):
    """Connects to addresses that are allowed, and to nothing else."""

    def __init__(self, allow: Sequence[Network]) -> None:
        self._allow = allow
        self._real = RealBackend()

    def connect_tcp(self, host: str, port: int, timeout: float | None = None, local_address: str | None = None,
                    socket_options: Iterable[SocketOption] | None = None) -> NetworkStream:
        found = _resolve(host, port)
        good = [address for address in found if allowed(address, self._allow)]
        if not good:
            raise Blocked(f"{host}: callbacks may not go to {', '.join(map(str, found))}")
        last: ConnectError | httpcore.ConnectTimeout | None = None
        for address in good:
            try:
                return self._real.connect_tcp(str(address), port, timeout, local_address, socket_options)
            except (ConnectError, httpcore.ConnectTimeout) as error:
                last = error
        assert last is not None
        raise last

    def connect_unix_socket(self, path: str, timeout: float | None = None,
                            socket_options: Iterable[SocketOption] | None = None) -> NetworkStream:
        raise Blocked("callbacks do not go to sockets of this machine")


def _resolve(host: str, port: int) -> list[Address]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as unknown:
        raise ConnectError(f"{host}: cannot be resolved: {unknown}") from unknown
    return list(dict.fromkeys(ipaddress.ip_address(str(entry[4][0]).partition("%")[0]) for entry in found))


@cache
def _trust() -> ssl.SSLContext:
    """The machine's certificate authorities; reading them takes longer than a callback."""
    return ssl.create_default_context()


def post(url: str, headers: Mapping[str, str], body: bytes, allow: Sequence[Network], timeout: float) -> int:
    """The status of one POST. `timeout`, in seconds, is for each pause, and twice that for all of it. Raises httpcore's
    errors, OSError, ValueError for a URL that is none."""
    limits = {"connect": timeout, "read": timeout, "write": timeout, "pool": timeout}
    if not url.startswith(("http://", "https://")):
        raise ValueError(f"{url!r} is not an http(s) address")
    guard, line = GuardedBackend(allow), Line()
    with (Patience(timedelta(seconds=2 * timeout)) as patience,
          httpcore.ConnectionPool(ssl_context=_trust(), network_backend=guard) as pool):
        patience.watch(line)
        with pool.stream("POST", url, headers=list(headers.items()), content=body,
                         extensions={"timeout": limits, "trace": line.told}) as answer:
            return answer.status
