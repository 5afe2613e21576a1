"""Accounts on a lab as its on-site program makes them, and a holder's login there, without Tenure."""

import random
import subprocess
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.lab.client import Answered, Client
from tests.lab.place import Place
from tests.lab.shell import run

ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"
PARTS = ("account", "storage", "network", "containers", "access")
MIB = 1 << 20
KEYS = threading.Lock()
"""Several threads of one test may be the first to log in."""


def new_id() -> str:
    return "a" + "".join(random.choices(ALPHABET, k=9))


def spec(account: str, **sizes: Any) -> dict[str, Any]:
    """A small account; `sizes` replace single fields."""
    small: dict[str, Any] = {
        "account": account,
        "containers": 2,
        "cpu_milli": 1000,
        "memory": 256 * MIB,
        "pids": 200,
        "storage": 48 * MIB,
        "rate": 80_000_000,
        "egress": 5 * MIB,
        "images": ["localhost/busybox:1"],
        "models": ["tiny"],
        "accelerators": {},
    }
    return small | sizes


@dataclass
class Tenant:
    """One account on a lab, with its facts as the site answered them."""

    place: Place
    client: Client
    spec: dict[str, Any]
    facts: dict[str, dict[str, Any]] = field(default_factory=dict)
    generation: int = 1
    ends_at: float = 0.0

    @property
    def id(self) -> str:
        return str(self.spec["account"])

    @property
    def user(self) -> str:
        return f"tn-{self.id}"

    @property
    def uid(self) -> int:
        return int(self.facts["account"]["uid"])

    @property
    def folder(self) -> Path:
        return Path(str(self.facts["storage"]["subvolume"]))

    def make(self, deadline: float = 600) -> "Tenant":
        """Arm and make all five parts; logins stay closed."""
        self.client.call("arm", account=self.id, end=time.time() + deadline, generation=self.generation)
        for part in PARTS:
            self.facts[part] = self.client.call("ensure", part=part, spec=self.spec)
        return self

    def open(self, duration: float = 600) -> "Tenant":
        """Open logins and let this tenant's key in."""
        opened = self.client.call("open", account=self.id, duration=duration, generation=self.generation)
        self.ends_at = opened["ends_at"]
        self.client.call("principal", account=self.id, principal=self.id, expires=self.ends_at)
        return self

    def fence(self, by: str = "operator") -> dict[str, Any]:
        """Fence with the next generation; the site's answer for this account."""
        self.generation += 1
        (answer,) = self.client.call("fence", batch=[[self.id, self.generation]], by=by)
        return dict(answer)

    def clean(self) -> None:
        self.fence()
        self.generation += 1
        clean(self.client, (self.id, self.generation))

    def usage(self) -> list[dict[str, Any]]:
        """All intervals since logins opened."""
        return list(self.client.call("usage", account=self.id, since=1.0))

    def used(self, meter: str) -> int:
        """What all intervals add up to."""
        return sum(one["amounts"].get(meter, 0) for one in self.usage())

    def leftovers(self) -> list[tuple[str, str]]:
        return [(one["kind"], one["what"]) for one in self.client.call("leftovers", account=self.id)]

    def ssh(self, *options: str) -> list[str]:
        """The stock client's words for a login with a certificate of the lab's authority."""
        key, known = self.place.path("keys") / self.id, self.place.path("keys/known_hosts")
        with KEYS:
            self._make_key(key)
            known.write_text(f"{self.place.address} {self.place.path('keys/host.pub').read_text()}")
        settings = ("IdentitiesOnly=yes", f"UserKnownHostsFile={known}", "StrictHostKeyChecking=yes", "BatchMode=yes")
        argv = ["ssh", "-F", "none", "-i", str(key), *(word for one in settings for word in ("-o", one)), *options]
        return [*argv, f"{self.user}@{self.place.address}"]

    def _make_key(self, key: Path) -> None:
        if not key.exists():
            run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)])
            authority = str(self.place.path("keys/holders_ca"))
            run(["ssh-keygen", "-q", "-s", authority, "-I", self.id, "-n", self.id, "-V", "-1h:+1h", f"{key}.pub"])

    def login(self, command: str, timeout: float = 60) -> "subprocess.CompletedProcess[str]":
        """Run one command as the holder, over SSH."""
        return subprocess.run([*self.ssh(), command], capture_output=True, text=True, timeout=timeout, check=False)

    def inside(self, *argv: str) -> list[str]:
        """Words that run `argv` as the account's user in its network and cgroups, without SSH or gate."""
        enter = [f'echo $$ > "{knob}";' for knob in self.knobs()]
        script = " ".join(enter) + ' exec "$@"'
        # A holder has the system's programs, not those that root may have in a home of its own.
        drop = ["setpriv", f"--reuid={self.uid}", f"--regid={self.uid}", "--clear-groups", "env", "PATH=/usr/bin:/bin"]
        return ["nsenter", f"--net=/run/netns/{self.user}", "sh", "-c", script, "sh", *drop, *argv]

    def knobs(self) -> list[Path]:
        """cgroup.procs files of the account's shell cgroup."""
        roots = (Path("/sys/fs/cgroup") / name for name in ("cpu", "cpuacct", "memory", "pids", "freezer", "."))
        found = (root / self.place.cgroup / self.id / "shell/cgroup.procs" for root in roots)
        return [one for one in found if one.exists()]


def clean(client: Client, *batch: tuple[str, int]) -> None:
    """Take away all that is left of these accounts (id, generation), in one call. Answered with the first error."""
    for row in client.call("clean", batch=batch):
        if "error" in row:
            raise Answered(row["error"]["kind"], row["error"]["message"])
