"""What a lab is called and where its things lie: everything follows from its name and number."""

import fcntl
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

NAME = re.compile(r"[a-z][a-z0-9]{0,11}")
LAST = 99


class Unfit(Exception):
    """This machine cannot host the lab; the message is one sentence that says what is missing."""


def base() -> Path:
    """Under which folder labs lie; TENURE_LAB_DIR overrides."""
    return Path(os.environ.get("TENURE_LAB_DIR") or "/var/lib/tenure-lab")


@dataclass(frozen=True)
class Place:
    """One lab. `number` keeps networks, uids and interfaces of several labs apart."""

    name: str
    number: int
    folder: Path

    @property
    def netns(self) -> str:
        return f"tlab-{self.name}"

    @property
    def inside(self) -> list[str]:
        """What to put in front of a command for it to run at the site."""
        return ["nsenter", f"--net=/run/netns/{self.netns}"]

    @property
    def outer(self) -> str:
        return f"tl{self.number}a"

    @property
    def inner(self) -> str:
        return f"tl{self.number}b"

    @property
    def machine_address(self) -> str:
        """Where the machine is, as the site sees it: the lab's outside world."""
        return f"10.77.{self.number}.1"

    @property
    def address(self) -> str:
        """The site's address, reachable from the machine."""
        return f"10.77.{self.number}.2"

    @property
    def net_range(self) -> str:
        return f"10.{101 + self.number}.0.0/16"

    @property
    def uid_min(self) -> int:
        return 1_000_000 + self.number * 100_000

    @property
    def uid_max(self) -> int:
        return self.uid_min + 99_999

    @property
    def group(self) -> str:
        return f"tenure-{self.name}"

    @property
    def operator(self) -> str:
        return f"tenure-op-{self.name}"

    @property
    def nft_table(self) -> str:
        return f"tenure_{self.name}"

    @property
    def cgroup(self) -> str:
        return f"tenure-{self.name}"

    @property
    def run(self) -> Path:
        """The site's run folder, which a reboot empties; short, as podman wants it."""
        return Path(f"/run/tl-{self.name}")

    @property
    def sudoers(self) -> Path:
        return Path("/etc/sudoers.d") / f"tenure-lab-{self.name}"

    def path(self, name: str) -> Path:
        """A file or folder of the lab: pool, state, etc, lib, log, keys, images, …"""
        return self.folder / name


def find(name: str) -> Place | None:
    """The lab of this name when it was ever brought up and not taken down."""
    try:
        raw = json.loads((base() / check(name) / "lab.json").read_text())
    except FileNotFoundError:
        return None
    return Place(name, int(raw["number"]), base() / name)


def claim(name: str) -> Place:
    """The lab of this name, with a number that no other lab on this machine has."""
    check(name)
    with claiming():
        if known := find(name):
            return known
        taken = {place.number for place in every()} | interfaces()
        number = next((one for one in range(LAST) if one not in taken), None)
        if number is None:
            raise Unfit(f"This machine already hosts {LAST} labs.")
        place = Place(name, number, base() / name)
        place.folder.mkdir(parents=True, exist_ok=True)
        (place.folder / "lab.json").write_text(json.dumps({"number": number}))
        return place


def every() -> list[Place]:
    """All labs under the base folder."""
    names = sorted(os.listdir(base())) if base().is_dir() else []
    return [place for name in names if NAME.fullmatch(name) and (place := find(name))]


def interfaces() -> set[int]:
    """Numbers of labs whose interface is up on this machine, wherever their folders lie."""
    found = (re.fullmatch(r"tl(\d+)a", name) for name in os.listdir("/sys/class/net"))
    return {int(match[1]) for match in found if match}


def check(name: str) -> str:
    if not NAME.fullmatch(name):
        raise ValueError(f"a lab's name is 1 to 12 of a-z and 0-9, starting with a letter, not {name!r}")
    return name


@contextmanager
def claiming() -> Iterator[None]:
    """Only one lab at a time chooses its number."""
    with open("/run/tenure-lab.lock", "w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
