"""What the demo measures from outside while an account lives and ends."""

import re
import socket
import subprocess
import threading
import time
from contextlib import suppress
from pathlib import Path

from tests.drive import Holder
from tests.lab.place import Place


class Sink:
    """A TCP listener outside the site that counts what arrives and when."""

    def __init__(self, place: Place) -> None:
        self.socket = socket.create_server((place.machine_address, 0))
        self.port: int = self.socket.getsockname()[1]
        self.received = 0
        self.first = self.last = 0.0
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                peer, _ = self.socket.accept()
                peer.settimeout(10)
                threading.Thread(target=self._drain, args=(peer,), daemon=True).start()

    def _drain(self, peer: socket.socket) -> None:
        with peer, suppress(OSError):
            while chunk := peer.recv(65536):
                self.last = time.time()
                self.first = self.first or self.last
                self.received += len(chunk)

    def close(self) -> None:
        self.socket.close()


class Packets:
    """A UDP listener outside the site: the account sends a datagram every 20 ms, this notes when the last came."""

    def __init__(self, place: Place) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((place.machine_address, 0))
        self.port: int = self.socket.getsockname()[1]
        self.last = 0.0
        self.count = 0
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with suppress(OSError):
            while self.socket.recv(64):
                self.last = time.time()
                self.count += 1


class Refusals:
    """Tries a new login again and again and notes the last that was let in."""

    def __init__(self, holder: Holder) -> None:
        self.holder = holder
        self.let_in = 0.0
        self.refused = 0.0
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self._try, daemon=True)
        self.thread.start()

    def _try(self) -> None:
        while not self.stop.is_set() and not self.refused:
            began = time.time()
            if self.holder.ssh("true").returncode == 0:
                self.let_in = began
            else:
                self.refused = began


def alive(uid: int, cgroup_of: str) -> list[int]:
    """Processes of the account on the host: by uid, and by a cgroup that carries its name; conmon is the site's."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            status = (folder / "status").read_text()
            uids = re.search(r"^Uid:\s+(.*)$", status, re.M)
            name = re.search(r"^Name:\s+(.*)$", status, re.M)
            mine = bool(uids and str(uid) in uids[1].split()) or cgroup_of in (folder / "cgroup").read_text()
            if mine and not (name and name[1] == "conmon") and not re.search(r"^State:\s+[ZX]", status, re.M):
                found.append(int(folder.name))
    return found


def uid_of(account: str) -> int:
    """The account's uid on the host."""
    return int(subprocess.run(["id", "-u", f"tn-{account}"], capture_output=True, text=True, check=True).stdout)
