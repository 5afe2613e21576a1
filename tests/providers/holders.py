"""Accounts with open logins, and what a holder logs in with: a key with the stock client, a terminal."""

import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from providers.protocol import Credential, Site, Spec
from tests.lab.accounts import Tenant, new_id, spec
from tests.lab.client import Client
from tests.lab.lab import Lab
from tests.providers.keys import KeyPair, make_key

IMAGE = "localhost/busybox:1"


@contextmanager
def holder(lab: Lab, client: Client, **sizes: Any) -> Iterator[Tenant]:
    """An account that may log in; afterwards it is cleaned, and nothing may be left."""
    tenant = Tenant(lab.place, client, spec(new_id(), **sizes)).make().open()
    try:
        yield tenant
    finally:
        tenant.clean()
        assert tenant.leftovers() == []


class Holder:
    """A holder with a key of their own and the stock client."""

    def __init__(
        self, site: Site, account: Spec, folder: Path, key: KeyPair | None = None, end: datetime | None = None
    ) -> None:
        self.key, self.folder = key or make_key(), folder
        self.given: Credential = site.issue(account, self.key.public, end or site.now() + timedelta(minutes=4))
        (folder / "key").write_text(self.key.private)
        (folder / "key").chmod(0o600)
        (folder / "key-cert.pub").write_text(self.given.certificate + "\n")
        (folder / "known").write_text("\n".join(self.given.host_keys) + "\n")

    def ssh(self, *words: str, login: str = "", options: tuple[str, ...] = ()) -> "subprocess.CompletedProcess[str]":
        strict = ("StrictHostKeyChecking=yes", f"UserKnownHostsFile={self.folder}/known", "IdentitiesOnly=yes")
        quiet = ("BatchMode=yes", "ConnectTimeout=10", f"Port={self.given.port}")
        argv = ["ssh", "-F", "none", "-i", str(self.folder / "key"), *options]
        argv += [part for one in (*strict, *quiet) for part in ("-o", one)]
        argv += [login or self.given.login, *words]
        return subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False, stdin=subprocess.DEVNULL)

    def gets_in(self) -> bool:
        return self.ssh("true").returncode == 0


class Terminal:
    """`ssh -t` in a terminal of 40 rows and 100 columns."""

    def __init__(self, tenant: Tenant) -> None:
        argv = tenant.ssh("-tt")
        self.pid, self.handle = pty.fork()
        if self.pid == 0:
            os.execvp(argv[0], argv)
        fcntl.ioctl(self.handle, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))
        self.seen = ""

    def type(self, text: str) -> None:
        os.write(self.handle, text.encode())

    def expect(self, text: str, seconds: float = 20) -> str:
        """Read until `text` shows up; what came until then."""
        until = time.monotonic() + seconds
        while text not in self.seen:
            if not select.select([self.handle], [], [], max(0, until - time.monotonic()))[0]:
                raise AssertionError(f"no {text!r} in {self.seen!r}")
            try:
                self.seen += os.read(self.handle, 65536).decode(errors="replace")
            except OSError as error:
                raise AssertionError(f"no {text!r} before the end in {self.seen!r}") from error
        before, _, self.seen = self.seen.partition(text)
        return before

    def end(self, seconds: float = 20) -> int:
        """Read to the end; ssh's exit status."""
        until = time.monotonic() + seconds
        while select.select([self.handle], [], [], max(0, until - time.monotonic()))[0]:
            try:
                self.seen += os.read(self.handle, 65536).decode(errors="replace")
            except OSError:
                return self.close()
        self.close()
        raise AssertionError(f"no end after {self.seen!r}")

    def close(self) -> int:
        """Hang up; ssh's exit status."""
        os.close(self.handle)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
