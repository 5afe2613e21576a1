"""The settings of a site that is one host reached over SSH: read strictly; a message names the field."""

import ipaddress
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import PurePosixPath
from typing import TypeVar

from providers.host import ssh
from providers.protocol import NeedsHuman

T = TypeVar("T")
NAME = re.compile(r"[a-z_][a-z0-9_-]{0,30}")
MODEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.:_-]{0,250}[A-Za-z0-9])?")


@dataclass(frozen=True, slots=True)
class Paths:
    """Where things lie on the host. A lab gives its own."""

    lib: str = "/usr/local/lib/tenure-site"
    etc: str = "/etc/tenure-site"
    state: str = "/var/lib/tenure-site"
    run: str = "/run/tenure-site"
    sudoers: str = "/etc/sudoers.d/tenure-site"
    sshd_config: str = "/etc/ssh/sshd_config"
    sshd_drop_in: str = "/etc/ssh/sshd_config.d/50-tenure-site.conf"
    sshd_pid: str = ""
    """The sshd to reload, where it is not systemd's."""
    unit: str = "/etc/systemd/system/tenure-site-reaper.service"
    python: str = "/usr/bin/python3"
    sudo: str = "/usr/bin/sudo"


@dataclass(frozen=True, slots=True)
class SlurmSettings:
    """The cluster of a Slurm site, as its login node sees it."""

    conf: str = "/etc/slurm/slurm.conf"
    munge: str = "/run/munge/munge.socket.2"
    """munge's socket, by which Slurm knows who asks."""
    licence: str = ""
    """A licence of slurm.conf that nobody asks for: each account's reservation holds one, and no node."""
    set_aside: bool = False
    """Reservations hold the offer's cores instead, so that nobody else has them meanwhile."""
    partition: str = ""
    """Where cores are set aside; the cluster's default when empty."""
    waiting: int = 0
    """Jobs that an account may have in the queue beside those that run."""
    chips: Mapping[str, str] = field(default_factory=dict)
    """Which GRES each chip of an offer is: `ascend-910b: npu`."""


@dataclass(frozen=True, slots=True)
class HostSettings:
    """One host. Sizes are not settings: an offer's places say what may run here."""

    site: str
    address: str
    host_key: ssh.HostKey
    port: int = 22
    user: str = "tenure-operator"
    public_address: str = ""
    """What holders connect to, where it differs from `address`."""
    public_port: int = 0
    bootstrap_user: str = "root"
    net_range: str = "10.203.0.0/16"
    uid_min: int = 70_000
    uid_max: int = 99_999
    pool: str = "/srv/tenure"
    group: str = "tenure-holders"
    nft_table: str = "tenure"
    cgroup: str = "tenure"
    masquerade: bool = True
    runtime: str = "runc"
    imagestore: str = ""
    models: Mapping[str, str] = field(default_factory=dict)
    paths: Paths = field(default_factory=Paths)
    slurm: SlurmSettings | None = None

    @property
    def login(self) -> ssh.Address:
        """Where Tenure logs in."""
        return ssh.Address(self.site, self.address, self.port, self.user, self.host_key)

    @property
    def door(self) -> ssh.Address:
        """Where holders log in."""
        return ssh.Address(
            self.site, self.public_address or self.address, self.public_port or self.port, self.user, self.host_key
        )


def parse(site: str, raw: Mapping[str, object]) -> HostSettings:
    """Strict: NeedsHuman names the field and says what it must be."""
    readers: Mapping[str, Callable[[object], object]] = {
        "address": _matching(HOST, "a host name or address"),
        "port": _whole(1, 65535),
        "public_address": _matching(HOST, "a host name or address"),
        "public_port": _whole(1, 65535),
        "user": _matching(NAME, "a Unix user's name"),
        "bootstrap_user": _matching(NAME, "a Unix user's name"),
        "host_key": lambda value: ssh.host_key(_text(value)),
        "net_range": _net_range,
        "uid_min": _whole(1000, 2**31 - 1),
        "uid_max": _whole(1000, 2**31 - 1),
        "pool": _path,
        "group": _matching(NAME, "a Unix group's name"),
        "nft_table": _matching(NAME, "a name of a-z, 0-9, _ and -"),
        "cgroup": _matching(NAME, "a name of a-z, 0-9, _ and -"),
        "masquerade": _truth,
        "runtime": _matching(NAME, "runc or crun"),
        "imagestore": _path,
        "models": _models,
        "paths": lambda value: _paths(site, value),
        "slurm": lambda value: _slurm(site, value),
    }
    read = {name: _field(site, name, value, readers) for name, value in raw.items()}
    if "address" not in read:
        raise _bad(site, "address", "is missing")
    if "host_key" not in read:
        raise NeedsHuman(f"site {site}: host_key: is missing",
                         remedy=f"`tenure site prepare {site}` shows it and asks; or write host_key into its YAML")
    settings = HostSettings(site=site, **read)  # type: ignore[arg-type]
    if settings.uid_max < settings.uid_min:
        raise _bad(site, "uid_max", f"must not be below uid_min ({settings.uid_min})")
    return settings


def _field(site: str, name: str, value: object, readers: Mapping[str, Callable[[object], T]]) -> T:
    if name not in readers:
        raise _bad(site, name, f"is not a setting; known are {', '.join(sorted(readers))}")
    try:
        return readers[name](value)
    except ValueError as wrong:
        raise _bad(site, name, str(wrong)) from wrong


def _bad(site: str, name: str, what: str) -> NeedsHuman:
    return NeedsHuman(f"site {site}: {name}: {what}", remedy=f"correct {name} in the site's YAML, then `tenure apply`")


def _text(value: object) -> str:
    if not isinstance(value, str) or not value or not value.isprintable():
        raise ValueError("must be one line of text")
    return value


def _matching(pattern: re.Pattern[str], what: str) -> Callable[[object], str]:
    def read(value: object) -> str:
        if not pattern.fullmatch(_text(value)):
            raise ValueError(f"must be {what}, not {value!r}")
        return str(value)

    return read


def _whole(low: int, high: int) -> Callable[[object], int]:
    def read(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise ValueError(f"must be a whole number from {low} to {high}, not {value!r}")
        return value

    return read


def _truth(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"must be true or false, not {value!r}")
    return value


def _path(value: object) -> str:
    text = _text(value)
    path = PurePosixPath(text)
    # Such a path also stands in sudoers, sshd's configuration and a unit, which each quote in their own way.
    if not path.is_absolute() or ".." in path.parts or not re.fullmatch(r"[A-Za-z0-9/._-]+", text):
        raise ValueError(f"must be an absolute path of letters, digits and / . _ -, not {text!r}")
    return str(path)


def _net_range(value: object) -> str:
    network = ipaddress.IPv4Network(_text(value))
    if network.prefixlen > 29:
        raise ValueError("must hold at least two /30, so be a /29 or larger")
    return str(network)


def _models(value: object) -> dict[str, str]:
    if not isinstance(value, Mapping):
        raise ValueError("must be a mapping of model name to folder on the host")
    named = _matching(MODEL, "a model's name (letters, digits, . _ -)")
    return {named(name): _path(folder) for name, folder in value.items()}


def _slurm(site: str, value: object) -> SlurmSettings:
    if not isinstance(value, Mapping):
        raise ValueError("must be a mapping")
    named = _matching(MODEL, "a name (letters, digits, . _ -)")
    readers: Mapping[str, Callable[[object], object]] = {
        "conf": _path,
        "munge": _path,
        "licence": named,
        "set_aside": _truth,
        "partition": named,
        "waiting": _whole(0, 10_000),
        "chips": lambda chips: _chips(chips, named),
    }
    read = {str(name): _field(f"{site}: slurm", str(name), one, readers) for name, one in value.items()}
    return SlurmSettings(**read)  # type: ignore[arg-type]


def _chips(value: object, named: Callable[[object], str]) -> dict[str, str]:
    if not isinstance(value, Mapping):
        raise ValueError("must be a mapping of chip to GRES")
    return {named(chip): named(gres) for chip, gres in value.items()}


def _paths(site: str, value: object) -> Paths:
    if not isinstance(value, Mapping):
        raise ValueError("must be a mapping")
    readers: dict[str, Callable[[object], str]] = {one.name: _path for one in fields(Paths)}
    return Paths(**{str(name): _field(f"{site}: paths", str(name), path, readers) for name, path in value.items()})
