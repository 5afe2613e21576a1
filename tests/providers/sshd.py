"""A real sshd of a test's own, on a high port of loopback, that lets one key in as the user who runs the tests."""

import getpass
import os
import signal
import socket
import subprocess
import time
from pathlib import Path

from tests.providers.keys import KeyPair, make_key

SSHD = "/usr/sbin/sshd"


class Sshd:
    """Started by its constructor; `stop` ends it and every session of it."""

    def __init__(self, folder: Path, port: int | None = None, extra: str = "") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)
        self.folder, self.user = folder, getpass.getuser()
        self.port = port or free_port()
        self.host, self.login = make_key(), make_key()
        self.log = folder / "log"
        (folder / "host").write_text(self.host.private)
        (folder / "host").chmod(0o600)
        (folder / "authorized").write_text(self.login.public + "\n")
        (folder / "config").write_text(
            f"ListenAddress 127.0.0.1\nPort {self.port}\nHostKey {folder}/host\nPidFile {folder}/pid\n"
            f"AuthorizedKeysFile {folder}/authorized\nStrictModes no\nUsePAM no\nPermitRootLogin prohibit-password\n"
            f"PasswordAuthentication no\nLogLevel VERBOSE\n{extra}"
        )
        os.makedirs("/run/sshd", mode=0o755, exist_ok=True)
        self.listen()

    def listen(self) -> None:
        """Begin, or again after `deafen`."""
        argv = [SSHD, "-D", "-f", str(self.folder / "config"), "-E", str(self.log)]
        self._process = subprocess.Popen(argv, start_new_session=True)
        self._wait()

    def deafen(self) -> None:
        """The listener ends, its sessions go on."""
        self._process.kill()
        self._process.wait()

    @property
    def known_hosts(self) -> str:
        return f"[127.0.0.1]:{self.port} {self.host.public}"

    def said(self) -> str:
        return self.log.read_text()

    def stop(self) -> None:
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def _wait(self) -> None:
        end = time.monotonic() + 10
        while time.monotonic() < end and self._process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                time.sleep(0.01)
            else:
                return
        raise AssertionError(f"sshd does not listen: {self.log.read_text() if self.log.exists() else 'no log'}")


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


__all__ = ["KeyPair", "Sshd", "free_port", "make_key"]
