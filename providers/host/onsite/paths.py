"""Where things of an account lie at the site."""

from pathlib import Path

from . import names
from .config import Config


def lease(config: Config, account: str) -> Path:
    return config.state / "leases" / f"{names.check(account)}.json"


def account(config: Config, account: str) -> Path:
    return config.state / "accounts" / f"{names.check(account)}.json"


def tombstone(config: Config, account: str) -> Path:
    return config.state / "tombstones" / f"{names.check(account)}.json"


def notice(config: Config, account: str) -> Path:
    return config.state / "notices" / names.check(account)


def ledger(config: Config) -> Path:
    return config.state / "uids"


def slots(config: Config) -> Path:
    """One file per slot in use, holding the account's id."""
    return config.state / "slots"


def meters(config: Config) -> Path:
    """Every account's counters at the last look, and its open hour."""
    return config.state / "meters.json"


def hours(config: Config, account: str) -> Path:
    """The account's closed hours, a line each; of two for one hour the later one counts."""
    return config.state / "usage" / f"{names.check(account)}.jsonl"


def outages(config: Config) -> Path:
    return config.state / "outages.json"


def boot(config: Config) -> Path:
    """What is another text after each boot: the run folder does not survive one."""
    return config.run / "boot"


def ready(config: Config, account: str) -> Path:
    """Present once the account's limits stand since the last reboot."""
    return config.run / f"{names.check(account)}.ready"


def lock(config: Config, name: str) -> Path:
    return config.run / "locks" / name


def principals(config: Config, account: str) -> Path:
    return config.principals / names.unix(account)


def netns(account: str) -> Path:
    return Path("/run/netns") / names.netns(account)


def subvolume(config: Config, account: str) -> Path:
    """The account's storage: all it writes lands here, under one limit."""
    return config.pool / names.check(account)


def home(config: Config, account: str) -> Path:
    return subvolume(config, account) / "home"


def tmp(config: Config, account: str) -> Path:
    return subvolume(config, account) / "tmp"


def vartmp(config: Config, account: str) -> Path:
    return subvolume(config, account) / "vartmp"


def shm(config: Config, account: str) -> Path:
    return subvolume(config, account) / "shm"


def graph(config: Config, account: str) -> Path:
    """podman's storage of this account, root's alone."""
    return subvolume(config, account) / "graph"


def podman_run(config: Config, account: str) -> Path:
    """podman's runtime state of this account; a reboot empties it, as podman expects."""
    return config.run / "podman" / names.check(account)


def doors(config: Config, account: str) -> Path:
    """Sockets of the account's logins; one that was killed leaves its own behind."""
    return config.run / "doors" / names.check(account)
