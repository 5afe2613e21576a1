"""Commands and packets of a lab's account, without SSH: what its user can do in its network and limits."""

import socket
import subprocess

from tests.lab.accounts import MIB, Tenant

SO_RCVBUFFORCE = 33  # Linux; the module does not name it


def as_holder(tenant: Tenant, *argv: str, timeout: float = 60) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(tenant.inside(*argv), capture_output=True, text=True, timeout=timeout, check=False)


class Sink:
    """Counts what reaches the machine over UDP from a lab's account."""

    def __init__(self, address: str) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 64 * MIB)
        self.socket.bind((address, 0))
        self.port = self.socket.getsockname()[1]

    def received(self) -> int:
        """Datagrams that have arrived."""
        self.socket.setblocking(False)
        count = 0
        while True:
            try:
                self.socket.recv(2048)
                count += 1
            except BlockingIOError:
                return count


SEND = """
import socket, sys, time
line = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sent = 0
for _ in range(int(sys.argv[3])):
    while True:
        try:
            sent += line.sendto(b"x" * 972, (sys.argv[1], int(sys.argv[2]))) > 0
            break
        except OSError:
            time.sleep(0.001)
    if sent % 50 == 0:
        time.sleep(0.006)
print(sent)
"""


def send(tenant: Tenant, sink: Sink, datagrams: int) -> None:
    """Packets of exactly 1,000 bytes from the account to the machine."""
    as_holder(tenant, "python3", "-c", SEND, tenant.place.machine_address, str(sink.port), str(datagrams))
