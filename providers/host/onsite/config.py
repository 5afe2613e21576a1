"""The site's one configuration file, read strictly: an unknown or missing key is an error that names it."""

import ipaddress
import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .errors import Human

PREFIX = "tn-"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,60}")
LONGEST_RUN = 24
REMEDY = "write the configuration anew with `tenure site prepare`"


@dataclass(frozen=True)
class Podman:
    """How podman is called here: its runtime, and a shared read-only image store."""

    runtime: str = "runc"
    imagestore: str | None = None


@dataclass(frozen=True)
class Slurm:
    """The cluster of a Slurm site: its configuration and munge socket, which logins see too; a licence that only ever
    serves to hold a reservation; which GRES each chip is; jobs that may wait beside those that run."""

    conf: Path
    munge: Path
    licence: str = ""
    set_aside: bool = False
    partition: str = ""
    waiting: int = 0
    chips: dict[str, str] = field(default_factory=dict)

    @property
    def reserves(self) -> bool:
        """Whether each account has a reservation."""
        return bool(self.licence) or self.set_aside


@dataclass(frozen=True)
class Config:
    """All that differs between hosts."""

    site: str
    state: Path
    run: Path
    pool: Path
    uid_min: int
    uid_max: int
    group: str
    principals: Path
    net_range: ipaddress.IPv4Network
    nft_table: str
    cgroup: str
    podman: Podman = field(default_factory=Podman)
    models: dict[str, Path] = field(default_factory=dict)
    masquerade: bool = False
    slurm: Slurm | None = None
    source: Path = Path()


TEXT = ("site", "group", "nft_table", "cgroup")
FOLDERS = ("state", "run", "pool", "principals")
NUMBERS = ("uid_min", "uid_max")
OPTIONAL = ("podman", "models", "masquerade", "slurm")


def load(path: str | Path) -> Config:
    """The configuration at `path`. Raises Human, naming the key, when it is not usable."""
    try:
        raw = json.loads(Path(path).read_text())
    except (OSError, ValueError) as error:
        raise Human(f"configuration {path}: {error}", REMEDY) from error
    try:
        return parse(raw, Path(path))
    except ValueError as error:
        raise Human(f"configuration {path}: {error}", REMEDY) from error


def parse(raw: Any, source: Path) -> Config:
    """The configuration in `raw`; ValueError names what is wrong."""
    if not isinstance(raw, dict):
        raise ValueError("not an object")
    required = {*TEXT, *FOLDERS, *NUMBERS, "net_range"}
    if missing := sorted(required - raw.keys()):
        raise ValueError(f"missing {', '.join(missing)}")
    if unknown := sorted(raw.keys() - required - set(OPTIONAL)):
        raise ValueError(f"unknown {', '.join(unknown)}")
    uid_min, uid_max = (number(raw, key) for key in NUMBERS)
    if not 1000 <= uid_min <= uid_max < 2**31:
        raise ValueError("uid_min and uid_max must be 1000 <= uid_min <= uid_max < 2^31")
    if len(text(raw, "run")) > LONGEST_RUN:
        raise ValueError(f"run must be at most {LONGEST_RUN} characters: podman refuses longer paths below it")
    if not isinstance(raw.get("masquerade", False), bool):
        raise ValueError("masquerade must be true or false")
    models = raw.get("models", {})
    if not isinstance(models, dict):
        raise ValueError("models must be an object of name: folder")
    return Config(
        site=text(raw, "site"),
        group=text(raw, "group"),
        nft_table=text(raw, "nft_table"),
        cgroup=text(raw, "cgroup"),
        state=folder(raw, "state"),
        run=folder(raw, "run"),
        pool=folder(raw, "pool"),
        principals=folder(raw, "principals"),
        uid_min=uid_min,
        uid_max=uid_max,
        net_range=ipaddress.IPv4Network(raw["net_range"]),
        podman=podman(raw.get("podman", {})),
        models={name: folder(models, name) for name in models},
        masquerade=raw.get("masquerade", False),
        slurm=slurm(raw["slurm"]) if raw.get("slurm") is not None else None,
        source=source,
    )


def podman(raw: Any) -> Podman:
    """The section about podman; ValueError names an unknown key."""
    known = Podman.__dataclass_fields__
    if not isinstance(raw, dict) or (unknown := sorted(raw.keys() - known.keys())):
        raise ValueError(f"podman: only {', '.join(known)}" + (f", not {', '.join(unknown)}" if raw else ""))
    return Podman(**{key: text(raw, key) for key in raw if raw[key] is not None})


def slurm(raw: Any) -> Slurm:
    """The section about Slurm; ValueError names what is wrong."""
    known = Slurm.__dataclass_fields__
    if not isinstance(raw, dict) or raw.keys() - known.keys() or {"conf", "munge"} - raw.keys():
        raise ValueError(f"slurm: needs conf and munge, and takes only {', '.join(known)}")
    chips = raw.get("chips", {})
    if not isinstance(chips, dict) or not isinstance(raw.get("set_aside", False), bool):
        raise ValueError("slurm: chips must be an object of chip: GRES, set_aside true or false")
    words = {key: text(raw, key) for key in ("licence", "partition") if raw.get(key)}
    names = [*words.values(), *(text(chips, chip) for chip in chips)]
    if wrong := [name for name in names if not NAME.fullmatch(name)]:
        raise ValueError(f"slurm: not a name: {', '.join(wrong)}")
    return Slurm(
        folder(raw, "conf"),
        folder(raw, "munge"),
        set_aside=raw.get("set_aside", False),
        waiting=number(raw, "waiting") if "waiting" in raw else 0,
        chips={chip: text(chips, chip) for chip in chips},
        **words,
    )


def text(raw: dict[str, Any], key: str) -> str:
    value = raw[key]
    if not isinstance(value, str) or not value or not value.isprintable():
        raise ValueError(f"{key} must be a non-empty text")
    return value


def folder(raw: dict[str, Any], key: str) -> Path:
    path = Path(text(raw, key))
    if not path.is_absolute() or ".." in path.parts:
        raise ValueError(f"{key} must be an absolute path")
    return path


def number(raw: dict[str, Any], key: str) -> int:
    value = raw[key]
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError(f"{key} must be a whole number")
    return value
