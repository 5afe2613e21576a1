"""Whether a host takes new logins: a kept connection goes on when the sshd that let it in has ended."""

import re
import socket
import time

from providers.host.ssh import Address
from providers.protocol import TryLater

LONGEST = 8192
"""Bytes that a server may say before it names itself."""
WITHIN = 5.0
_NAMED = re.compile(rb"^SSH-2\.0-", re.MULTILINE)


def knock(at: Address, within: float = WITHIN) -> None:
    """Connect anew, hear `SSH-2.0`, send nothing and leave. TryLater when that is not said within so many seconds."""
    until, said = time.monotonic() + within, b""
    try:
        with socket.create_connection((at.host, at.port), timeout=within) as plain:
            while not _NAMED.search(said):
                plain.settimeout(max(0.001, until - time.monotonic()))
                more = plain.recv(LONGEST - len(said))
                if not more:
                    raise TryLater(f"ssh {at}: takes no new logins: who listens there is no SSH server: {said[:80]!r}")
                said += more
    except OSError as shut:
        raise TryLater(f"ssh {at}: takes no new logins: {shut}; look at sshd there (who is in stays in)") from shut
