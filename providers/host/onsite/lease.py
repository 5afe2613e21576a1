"""One file per account holds its end, its generation, whether logins are open, and its fence. Every change goes
through here, under the lease's lock; a lower generation than the site's is refused, after a clean too."""

import contextlib
import json
import math
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from . import files, lock, names, paths
from .config import Config
from .errors import Human, Refused, Stale

By = Literal["end", "operator"]


@dataclass(frozen=True)
class Fence:
    """When the account was fenced, and whether its end or an operator did it."""

    at: float
    by: By


@dataclass(frozen=True)
class Rescue:
    """Until when the files of an ended account may be fetched, and the principal of whom may."""

    until: float
    principal: str


@dataclass(frozen=True)
class Lease:
    """Instants are epoch seconds of the site's clock; `duration` is what `open` was told."""

    end: float
    generation: int
    logins: Literal["closed", "open"] = "closed"
    duration: float | None = None
    starts_at: float | None = None
    fenced: Fence | None = None
    rescue: Rescue | None = None

    def usable(self, now: float) -> bool:
        """Whether the holder may be let in at `now`."""
        return self.logins == "open" and self.fenced is None and now < self.end

    def fetchable(self, now: float) -> bool:
        """Whether the holder may fetch their files at `now`, after the end."""
        return self.rescue is not None and self.fenced is not None and now < self.rescue.until


def read(config: Config, account: str) -> Lease | None:
    """The account's lease, or None. Human when its file cannot be read: then nobody may be let in."""
    path = paths.lease(config, account)
    try:
        raw = files.read_json(path)
        return None if raw is None else parse(raw)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise Human(f"lease of {account}: {error!r}", f"fence the account, then look at {path}") from error


def readable(config: Config, account: str) -> Lease | None:
    """The account's lease; None also when nobody can read it: such a one lets nobody in."""
    with contextlib.suppress(Human):
        return read(config, account)
    return None


def parse(raw: Any) -> Lease:
    """A lease as its file holds it; ValueError, TypeError or KeyError when it is not one."""
    fenced, rescue = raw["fenced"], raw.get("rescue")
    lease = Lease(
        end=float(raw["end"]),
        generation=int(raw["generation"]),
        logins=raw["logins"],
        duration=raw.get("duration"),
        starts_at=raw.get("starts_at"),
        fenced=None if fenced is None else Fence(float(fenced["at"]), fenced["by"]),
        rescue=None if rescue is None else Rescue(float(rescue["until"]), str(rescue["principal"])),
    )
    if lease.logins not in ("closed", "open") or not math.isfinite(lease.end):
        raise ValueError("no usable end or logins")
    return lease


def write(config: Config, account: str, lease: Lease) -> None:
    """Only under the lease's lock."""
    files.write_json(paths.lease(config, account), asdict(lease))


def listed(config: Config) -> list[str]:
    """Ids of all accounts that have a lease file here."""
    stems = (name.removesuffix(".json") for name in os.listdir(config.state / "leases") if name.endswith(".json"))
    return sorted(stem for stem in stems if names.ID.fullmatch(stem))


def buried(config: Config, account: str) -> int:
    """The generation with which the account was cleaned away here, or 0."""
    raw = files.read_json(paths.tombstone(config, account))
    return 0 if raw is None else int(raw["generation"])


@contextlib.contextmanager
def changing(config: Config, account: str, generation: int) -> Iterator[Lease | None]:
    """Hold the lease's lock and give the lease; Stale when the site has seen a higher generation."""
    with lock.lease(config, account):
        lease = read(config, account)
        seen = max(buried(config, account), lease.generation if lease else 0)
        if generation < seen:
            raise Stale(f"{account}: generation {generation} is lower than the site's {seen}")
        yield lease


def arm(config: Config, account: str, end: float, generation: int, now: float) -> Lease:
    """The lease with this end, unless it is fenced or over: then as it is, and the caller sees to the fence."""
    with changing(config, account, generation) as lease:
        if lease is None and generation <= buried(config, account):
            raise Stale(f"{account}: was cleaned away here with generation {buried(config, account)}")
        if lease is not None and (lease.fenced or now >= lease.end):
            return lease
        if lease is None:
            write(config, account, Lease(end, generation))
            return Lease(end, generation)
        return rewrite(config, account, lease, end=end, generation=generation)


def open_logins(config: Config, account: str, duration: float, generation: int, now: float) -> Lease:
    """Start the time box at `now`. Again: the same answer. Refused past the armed end and under a fence."""
    with changing(config, account, generation) as lease:
        if lease is None:
            raise Refused(f"{account}: has no armed end here")
        if lease.fenced:
            raise Refused(f"{account}: is fenced")
        if lease.logins == "open":
            return lease
        if now >= lease.end:
            raise Refused(f"{account}: its armed end has passed")
        opened: dict[str, Any] = {"logins": "open", "duration": duration, "starts_at": now, "end": now + duration}
        return rewrite(config, account, lease, generation=generation, **opened)


def mark(config: Config, account: str, generation: int | None, by: By, now: float) -> Fence | None:
    """Write the fence down before anything is cut. Only under the lease's lock.

    `generation` None is the site's own doing at an end: None when that end is no longer due. An account unknown here
    gets a fenced lease too, so that a late worker's lower generation is refused. An operator's fence ends a rescue.
    """
    try:
        known = read(config, account)
    except Human:
        if generation is None:
            raise
        known = None  # a lease that nobody can read is written anew, fenced
    if generation is None:
        if known is None or (not known.fenced and known.end > now):
            return None
        generation = known.generation
    seen = max(buried(config, account), known.generation if known else 0)
    if generation < seen:
        raise Stale(f"{account}: generation {generation} is lower than the site's {seen}")
    if known is None and seen:
        return Fence(now, by)
    fence = known.fenced if known and known.fenced else Fence(now, by)
    rescue = known.rescue if known and by == "end" else None
    fenced = replace(known or Lease(now, generation), generation=generation, fenced=fence, rescue=rescue)
    if fenced != known:
        # not synced here: the cut comes first, and after a power cut the end is due again
        files.write(paths.lease(config, account), json.dumps(asdict(fenced)), sync=False)
    return fence


def settle(config: Config, accounts: list[str]) -> None:
    """Make these accounts' last fences survive a power cut."""
    for account in accounts:
        with contextlib.suppress(FileNotFoundError), open(paths.lease(config, account)) as file:
            os.fsync(file.fileno())
    files.settle(config.state / "leases")


def rewrite(config: Config, account: str, known: Lease, **changes: Any) -> Lease:
    """`known` with these changes, written when they change anything. Only under the lease's lock."""
    changed = replace(known, **changes)
    if changed != known:
        write(config, account, changed)
    return changed


def bury(config: Config, account: str, generation: int) -> None:
    """Take the lease away and remember its generation for ever. Only under the lease's lock."""
    files.write_json(paths.tombstone(config, account), {"generation": generation})
    files.remove(paths.lease(config, account))
