"""Drives Tenure from outside, as its users do: the `tenure` command, signed HTTP, and the stock `ssh` client."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import httpx
import yaml
from standardwebhooks.webhooks import Webhook

T = TypeVar("T")


STARTING = 180
"""Seconds that a start, or a change that many steps go into, may take on a machine that others load, too."""


class DriveError(AssertionError):
    """What was asked for did not happen; the message says what was seen instead."""


class Busy(DriveError):
    """The doors say 503: nothing was done, ask again."""


def until(what: str, look: Callable[[], T | None], *, within: float, every: float = 0.02) -> T:
    """What `look` finds, as soon as it finds it. Raises DriveError after `within` seconds."""
    end = time.monotonic() + within
    while True:
        if (found := look()) is not None:
            return found
        if time.monotonic() > end:
            raise DriveError(f"{what}: not within {within:g} s")
        time.sleep(every)


def free_port() -> int:
    """A TCP port on loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass
class Tenure:
    """One installation: its home folder, its command and its server process."""

    home: Path
    settings: dict[str, Any] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    server: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def init(self) -> None:
        """Make the home and its settings."""
        self.cli("init")
        wanted = {"base_url": self.url, "listen": {"host": "127.0.0.1", "port": self.port}, **self.settings}
        file = self.home / "tenure.yaml"
        known = yaml.safe_load(file.read_text()) if file.exists() else {}
        file.write_text(yaml.safe_dump({**(known or {}), **wanted}))

    @staticmethod
    def command(*words: str) -> list[str]:
        """The `tenure` command line, from beside this Python."""
        return [str(Path(sys.executable).parent / "tenure"), *words]

    def environment(self, **more: str) -> dict[str, str]:
        """What every process of this installation is started with."""
        return {**os.environ, "TENURE_HOME": str(self.home), **more}

    def cli(self, *words: str, stdin: str | None = None, codes: Sequence[int] = (0,),
            within: float = 2 * STARTING) -> Any:
        """Run `tenure … --json` and give what it printed. Raises DriveError on another exit code."""
        ran = subprocess.run(self.command(*words, "--json"), input=stdin, env=self.environment(),
                             capture_output=True, text=True, timeout=within, check=False)
        if ran.returncode not in codes:
            said = ran.stderr.strip() or ran.stdout.strip()
            raise DriveError(f"tenure {' '.join(words)}: exit {ran.returncode}: {said}")
        return json.loads(ran.stdout) if ran.stdout.strip() else None

    def serve(self, **environment: str) -> None:
        """Start the doors and the worker, and wait until they answer."""
        log = (self.home / "serve.log").open("ab")
        self.server = subprocess.Popen(self.command("serve"), stdout=log, stderr=log,
                                       env=self.environment(**environment))
        log.close()
        until("the doors open", self._ready, within=STARTING)

    def _ready(self) -> bool | None:
        assert self.server is not None
        if self.server.poll() is not None:
            raise DriveError(f"tenure serve ended with {self.server.returncode}: "
                             + (self.home / "serve.log").read_text()[-2000:])
        try:
            return True if httpx.get(f"{self.url}/readyz", timeout=2).status_code == 200 else None
        except httpx.TransportError:
            return None

    def kill(self, sign: signal.Signals = signal.SIGKILL) -> None:
        """End the server with this signal and reap it."""
        if self.server is not None:
            with suppress(ProcessLookupError):
                self.server.send_signal(sign)
            self.server.wait(30)
            self.server = None

    def post(self, path: str, body: dict[str, Any], *, secret: str, event: str, sender: str) -> httpx.Response:
        """A signed event, as a platform sends it."""
        at = datetime.now(UTC)
        text = json.dumps({"timestamp": at.isoformat().replace("+00:00", "Z"), **body}, ensure_ascii=False)
        signature = Webhook(secret).sign(event, at, text)
        headers = {"webhook-id": event, "webhook-timestamp": str(int(at.timestamp())), "webhook-signature": signature,
                   "content-type": "application/json", "x-tenure-sender": sender}
        return httpx.post(f"{self.url}{path}", content=text.encode(), headers=headers, timeout=30)

    def get(self, path: str, token: str) -> Any:
        """A JSON document of the operators' API."""
        answer = httpx.get(f"{self.url}{path}", headers={"authorization": f"Bearer {token}"}, timeout=30)
        if answer.status_code != 200:
            kind = Busy if answer.status_code == 503 else DriveError
            raise kind(f"GET {path}: {answer.status_code} {answer.text}")
        return answer.json()

    def wait(self, account: str, states: set[str], token: str, *, within: float) -> Any:
        """The account as soon as it is in one of the states."""
        def look() -> Any:
            try:
                seen = self.get(f"/v1/accounts/{account}", token)
            except Busy:
                return None
            return seen if seen["state"] in states else None
        return until(f"account {account} becomes {' or '.join(sorted(states))}", look, within=within)


@dataclass
class Holder:
    """A researcher with a key of their own and the stock `ssh` client."""

    folder: Path
    login: str = ""
    port: int = 22

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        if not self.key.exists():
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "holder", "-f", str(self.key)],
                           check=True, timeout=10)

    @property
    def key(self) -> Path:
        return self.folder / "id_ed25519"

    def claim(self, url: str) -> dict[str, Any]:
        """Mint the certificate at the claim link and keep it beside the key."""
        public = self.key.with_suffix(".pub").read_text().strip()
        answer = httpx.post(url, json={"ssh_public_key": public}, headers={"accept": "application/json"}, timeout=30)
        if answer.status_code != 200:
            raise DriveError(f"POST {url}: {answer.status_code} {answer.text}")
        got: dict[str, Any] = answer.json()
        (self.folder / "id_ed25519-cert.pub").write_text(got["certificate"] + "\n")
        (self.folder / "known_hosts").write_text("\n".join(got["host_keys"]) + "\n")
        self.login, self.port = got["login"], got["port"]
        return got

    def argv(self, *command: str, tty: bool = False) -> list[str]:
        """The `ssh` command line, with nothing from this machine's own configuration."""
        return ["ssh", "-F", "none", "-i", str(self.key), "-p", str(self.port), "-o", "IdentitiesOnly=yes",
                "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes", "-o", "ConnectTimeout=10",
                "-o", f"UserKnownHostsFile={self.folder / 'known_hosts'}", "-o", "LogLevel=ERROR",
                *(["-tt"] if tty else []), self.login, *command]

    def ssh(self, *command: str, stdin: bytes = b"", within: float = 60) -> subprocess.CompletedProcess[bytes]:
        """Run one command through a login; the words are joined by the client, as always with ssh."""
        return subprocess.run(self.argv(*command), input=stdin, capture_output=True, timeout=within, check=False)

    def start(self, *command: str, tty: bool = False) -> subprocess.Popen[bytes]:
        """A login that stays open."""
        return subprocess.Popen(self.argv(*command, tty=tty), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT)
