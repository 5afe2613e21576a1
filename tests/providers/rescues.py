"""Accounts whose end has come on a lab, and the stock clients that fetch their files."""

import struct
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from providers.host.onsite import cgroups
from tests.lab.accounts import Tenant, new_id, spec
from tests.lab.client import Client
from tests.lab.lab import Lab

PRINCIPAL = "rescue"
ATTEMPTS = 5
"""Whoever connects just as the reaper repeats an end's kill is cut off, and connects again."""


@contextmanager
def ended(lab: Lab, client: Client, fetch_for: float = 300, **sizes: Any) -> Iterator[Tenant]:
    """An account past its end, with files, that may be fetched for so many seconds; 0: nothing was allowed yet."""
    tenant = Tenant(lab.place, client, spec(new_id(), **sizes)).make().open()
    try:
        tenant.ssh()
        fill(tenant)
        end(tenant)
        if fetch_for:
            allow(tenant, fetch_for)
        yield tenant
    finally:
        tenant.clean()
        assert tenant.leftovers() == []


def fill(tenant: Tenant) -> None:
    """What a holder leaves: files, links to the inside and the outside, a pipe."""
    made = tenant.login(
        "mkdir -p results/deep; echo kept > results/data; echo mine > results/deep/secret; chmod 600 results/deep/*;"
        "head -c 3000000 /dev/urandom > large; echo t > /tmp/temporary; mkfifo pipe; ln results/data hard;"
        "ln -s results/data inside; ln -s /etc/shadow outside; ln -s / top; ln -s /tmp/temporary temporary"
    )
    assert made.returncode == 0, made.stderr


def end(tenant: Tenant) -> None:
    """The end is now, and the site sees to it at once."""
    tenant.generation += 1
    answer = tenant.client.call("arm", account=tenant.id, end=time.time() - 0.01, generation=tenant.generation)
    assert answer["fenced"]["by"] == "end"


def allow(tenant: Tenant, seconds: float) -> float:
    """Let this tenant's key fetch for so long; until when."""
    until = time.time() + seconds
    tenant.client.call("rescue", account=tenant.id, principal=tenant.id, until=until)
    return until


def options(tenant: Tenant, *more: str) -> list[str]:
    """The words of `ssh` without its name and address, as sftp and scp take them."""
    return [*tenant.ssh(*more)[1:-1]]


def sftp(tenant: Tenant, *lines: str, timeout: float = 30) -> "subprocess.CompletedProcess[str]":
    """Give these lines to the stock sftp client; it stops at the first that fails."""
    argv = ["sftp", "-q", "-b", "-", *options(tenant), tenant.ssh()[-1]]
    return connecting(lambda: subprocess.run(argv, input="\n".join(lines), capture_output=True, text=True,
                                             timeout=timeout, check=False))


def knock(tenant: Tenant, command: str) -> "subprocess.CompletedProcess[str]":
    """Ask for this command where only files are given out."""
    return connecting(lambda: tenant.login(command))


def connecting(run: Callable[[], "subprocess.CompletedProcess[str]"]) -> "subprocess.CompletedProcess[str]":
    """Run it, and again when it was cut off before anything answered."""
    for _ in range(ATTEMPTS):
        ran = run()
        if ran.returncode != 255 or "closed by remote host" not in ran.stderr:
            break
    return ran


def scp(tenant: Tenant, there: str, here: Path, *more: str) -> "subprocess.CompletedProcess[str]":
    argv = ["scp", *more, *options(tenant), f"{tenant.ssh()[-1]}:{there}", str(here)]
    return subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False)


class Session:
    """An SFTP session that stays open, over the stock ssh; it has answered once."""

    def __init__(self, tenant: Tenant) -> None:
        argv = [*tenant.ssh("-s"), "sftp"]
        for _ in range(ATTEMPTS):
            self.process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                            stderr=subprocess.DEVNULL)
            if self.ask(1, struct.pack(">I", 3)) == 2:
                return
            self.process.kill()
            self.process.wait(20)
        raise AssertionError("the session did not begin")

    def tell(self, kind: int, body: bytes) -> None:
        """One packet of the protocol."""
        assert self.process.stdin is not None
        self.process.stdin.write(struct.pack(">IB", len(body) + 1, kind) + body)
        self.process.stdin.flush()

    def ask(self, kind: int, body: bytes) -> int:
        """Tell, and give the kind of the answer; 0 when the other side hung up."""
        self.tell(kind, body)
        assert self.process.stdout is not None
        head = self.process.stdout.read(5)
        if len(head) < 5:
            return 0
        self.process.stdout.read(struct.unpack(">I", head[:4])[0] - 1)
        return head[4]

    def alive(self) -> bool:
        """Whether it answers where it is (REALPATH, and NAME as the answer)."""
        return self.ask(16, struct.pack(">I", 1) + string(b".")) == 104

    def over(self) -> float:
        """Wait until ssh has ended by itself; when that was."""
        self.process.wait(20)
        return time.time()

    def __enter__(self) -> "Session":
        return self

    def __exit__(self, *error: object) -> None:
        self.process.kill()
        self.process.wait(20)


def string(text: bytes) -> bytes:
    return struct.pack(">I", len(text)) + text


def readers(tenant: Tenant) -> set[int]:
    """Processes in the cgroup of those who fetch."""
    return cgroups.within([f"{tenant.place.cgroup}/{tenant.id}/rescue"])
