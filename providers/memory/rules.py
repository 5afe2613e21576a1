"""What a memory site decides about one account, under the world's lock."""

import io
import tarfile
from collections.abc import Sequence
from datetime import UTC, datetime

from providers.memory.world import By, Tenancy, World
from providers.protocol import (
    AlreadyFenced,
    Cleaned,
    Fenced,
    NeedsHuman,
    Refused,
    SiteError,
    Stale,
    checked_account,
    checked_generation,
)

MOST_PACKED = 1 << 20


def instant(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def fence_of(tenancy: Tenancy) -> AlreadyFenced:
    assert tenancy.fenced_at is not None
    return AlreadyFenced(instant(tenancy.fenced_at), tenancy.fenced_by)


def fence(world: World, account: str, generation: int, by: By) -> Fenced:
    """One account's fault is its own answer: it must not take the batch with it."""
    try:
        checked_account(account)
        not_poisoned(world, account)
        not_lower(world, account, generation)
    except SiteError as failed:
        return Fenced(account, None, failed)
    now = world.now()
    if account not in world.tenancies and account in world.tombstones:
        return Fenced(account, instant(now))
    tenancy = world.tenancies.setdefault(account, Tenancy(now, generation))
    tenancy.generation = generation
    world.fence(account, now, by)
    return Fenced(account, instant(now if tenancy.fenced_at is None else tenancy.fenced_at))


def clean(world: World, account: str, generation: int) -> Cleaned:
    try:
        checked_account(account)
        not_poisoned(world, account)
        not_lower(world, account, generation)
    except SiteError as failed:
        return Cleaned(account, failed)
    known = world.tenancies.get(account)
    if known is not None and known.usable:
        return Cleaned(account, Refused(f"account {account}: is in use: fence it first"))
    world.tombstones[account] = generation
    if known is not None and account in world.faults.sticky:
        known.parts = {part: seen for part, seen in known.parts.items() if part == "storage"}
    else:
        world.tenancies.pop(account, None)
    return Cleaned(account)


def fetchable(world: World, account: str, until: datetime) -> Tenancy:
    """The account, when its holder may be let fetch their files until then; else Refused."""
    known = tenancy(world, account)
    if not known.open or known.fenced_at is None:
        raise Refused(f"account {account}: is in use, or never was: there is nothing to fetch after an end")
    if known.fenced_by != "end":
        raise Refused(f"account {account}: was fenced by an operator, who alone gives its files out")
    if until.timestamp() <= world.now():
        raise Refused(f"account {account}: its grace is over")
    if not {"access", "storage"} <= known.parts.keys():
        raise Refused(f"account {account}: is being taken back")
    return known


def packed(world: World, account: str, include: Sequence[str]) -> bytes:
    """A tar of what the account stores: one file, `data`."""
    known = tenancy(world, account)
    if known.usable or "storage" not in known.parts:
        raise Refused(f"account {account}: is in use, or nothing of it is there")
    missing = sorted(set(include) - {"data"})
    if missing:
        raise Refused(f"account {account}: has no {missing[0]!r}")
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as tar:
        entry = tarfile.TarInfo(f"{account}/home/data")
        entry.size = min(known.stored, MOST_PACKED)
        tar.addfile(entry, io.BytesIO(bytes(entry.size)))
    return written.getvalue()


def not_poisoned(world: World, account: str | None) -> None:
    if account in world.faults.poisoned:
        raise NeedsHuman(f"account {account}: poisoned", remedy="take the poison away")


def tenancy(world: World, account: str) -> Tenancy:
    if account not in world.tenancies:
        raise Refused(f"account {account}: is not at this site")
    return world.tenancies[account]


def not_lower(world: World, account: str, generation: int) -> None:
    checked_generation(generation)
    seen = world.tenancies.get(account)
    known = max(seen.generation if seen else 0, world.tombstones.get(account, 0))
    if generation < known:
        raise Stale(f"account {account}: the site holds generation {known}, {generation} comes too late")
