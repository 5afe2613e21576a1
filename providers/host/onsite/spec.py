"""What an account is to be here, checked strictly as it comes in and kept for the restoration after a reboot."""

import os
from dataclasses import asdict, dataclass
from typing import Any

from . import files, ledger, lock, names, paths
from .config import Config
from .errors import Human, Later, Refused

NUMBERS = {
    "containers": (0, 10_000),
    "cpu_milli": (10, 10**7),
    "memory": (4 << 20, 1 << 50),
    "pids": (16, 1 << 22),
    "storage": (1 << 20, 1 << 60),
    "rate": (8_000, 10**13),
    "egress": (0, 1 << 62),
}


@dataclass(frozen=True)
class Spec:
    """Sizes are bytes, `rate` bits a second, `cpu_milli` thousandths of a core."""

    account: str
    containers: int
    cpu_milli: int
    memory: int
    pids: int
    storage: int
    rate: int
    egress: int
    images: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    accelerators: tuple[tuple[str, int], ...] = ()
    set_aside: bool = False


@dataclass(frozen=True)
class Account:
    """A spec with what this site gave it: a uid that nobody else ever gets, and a slot (its address)."""

    spec: Spec
    uid: int
    slot: int

    @property
    def id(self) -> str:
        return self.spec.account


def parse(raw: Any) -> Spec:
    """The spec in `raw`; Refused names the field that is wrong."""
    if not isinstance(raw, dict):
        raise Refused("spec: not an object")
    known = set(Spec.__dataclass_fields__)
    if unknown := sorted(map(str, raw.keys() - known)):
        raise Refused(f"spec: unknown {', '.join(unknown)}"[:200])
    return Spec(
        account=names.check(raw.get("account")),
        **{name: whole(raw.get(name), name, low, high) for name, (low, high) in NUMBERS.items()},
        images=texts(raw.get("images", []), "images"),
        models=texts(raw.get("models", []), "models"),
        accelerators=chips(raw.get("accelerators", {})),
        set_aside=truth(raw.get("set_aside", False), "set_aside"),
    )


def whole(value: Any, name: str, low: int, high: int) -> int:
    """`value` when it is a whole number from `low` to `high`; else Refused."""
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise Refused(f"{name}: must be a whole number from {low} to {high}, not {value!r}"[:200])
    return value


def truth(value: Any, name: str) -> bool:
    if not isinstance(value, bool):
        raise Refused(f"{name}: must be true or false, not {value!r}"[:200])
    return value


def texts(value: Any, name: str) -> tuple[str, ...]:
    if not isinstance(value, (list, tuple)) or len(value) > 100:
        raise Refused(f"{name}: must be a list of at most 100")
    for one in value:
        if not isinstance(one, str) or not 0 < len(one) <= 300 or not one.isprintable() or one.startswith("-"):
            raise Refused(f"{name}: not a name: {one!r}"[:200])
    return tuple(value)


def chips(value: Any) -> tuple[tuple[str, int], ...]:
    if isinstance(value, (list, tuple)) and all(isinstance(one, (list, tuple)) and len(one) == 2 for one in value):
        value = dict(value)
    if not isinstance(value, dict):
        raise Refused("accelerators: must be an object of chip: count")
    texts(list(value), "accelerators")
    return tuple(sorted((chip, whole(count, chip, 0, 10_000)) for chip, count in value.items()))


def read(config: Config, account: str) -> Account | None:
    """The account as this site keeps it, or None. Human when its file cannot be read."""
    path = paths.account(config, account)
    try:
        raw = files.read_json(path)
        return None if raw is None else Account(parse(raw["spec"]), int(raw["uid"]), int(raw["slot"]))
    except (OSError, ValueError, TypeError, KeyError, Refused) as error:
        raise Human(f"account {account}: {error!r}", f"fence the account, then look at {path}") from error


def keep(config: Config, wanted: Spec) -> Account:
    """The account with this spec, with a uid and a slot given now if it has none. Only under the account's lock."""
    known = read(config, wanted.account)
    if known is None:
        with lock.site(config):
            known = Account(wanted, ledger.uid(config, wanted.account), ledger.slot(config, wanted.account))
            store(config, known)
    elif known.spec != wanted:
        known = Account(wanted, known.uid, known.slot)
        store(config, known)
    return known


def store(config: Config, account: Account) -> None:
    path = paths.account(config, account.id)
    files.write_json(path, asdict(account))
    if read(config, account.id) != account:
        raise Later(f"{path}: reads back differently")


def listed(config: Config) -> list[str]:
    """Ids of all accounts that this site keeps."""
    stems = (name.removesuffix(".json") for name in os.listdir(config.state / "accounts") if name.endswith(".json"))
    return sorted(stem for stem in stems if names.ID.fullmatch(stem))
