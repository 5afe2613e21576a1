"""The meters of a memory site: what its tenancies used, by clock hour, with gaps and outages on demand."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from providers.memory.rules import instant
from providers.memory.world import Bucket, Tenancy, World
from providers.metering import hour, hours, spread
from providers.protocol import CPU, EGRESS, MEMORY, STORAGE, Usage, chip_meter

MICRO = timedelta(microseconds=1)
COARSE = {CPU: 1000, MEMORY: 1_000_000, STORAGE: 1_000_000, EGRESS: 1}
"""How many of what a bucket counts make one of the meter's unit; of chips as of CPU."""


def look(world: World) -> None:
    """Add what was used since the last look. A clock that went back waits until it has caught up."""
    now = world.now()
    before = now if world.metered is None else world.metered
    if now < before:
        return
    if not world.faults.unmetered_site:
        for tenancy in world.tenancies.values():
            if tenancy.starts_at is not None:
                runs_until = now if world.faults.no_reaper else min(now, tenancy.end)
                add(tenancy, max(before, tenancy.starts_at), now, runs_until, world.faults.unmetered)
    world.metered = now


def add(tenancy: Tenancy, since: float, until: float, runs_until: float, unread: Iterable[str]) -> None:
    """One tenancy's buckets; a meter in `unread` is not read. At `runs_until` what runs is killed; storage stays."""
    begun, over = instant(since), instant(until)
    killed = max(begun, instant(runs_until))
    running = {MEMORY: tenancy.memory} | {chip_meter(chip): count for chip, count in tenancy.chips.items()}
    counted = {CPU: round(tenancy.cpu_seconds * 1_000_000), EGRESS: tenancy.egress}
    amounts = {meter: (size * ((killed - begun) // MICRO), killed) for meter, size in running.items()}
    amounts[STORAGE] = tenancy.stored * ((over - begun) // MICRO), over
    amounts |= {meter: (total - tenancy.counted.get(meter, 0), over) for meter, total in counted.items()}
    for meter in amounts.keys() - set(unread):
        tenancy.counted[meter] = counted.get(meter, 0)
        amount, ended = amounts[meter]
        for at, share in spread(amount, begun, ended).items():
            bucket = tenancy.buckets.setdefault(_key(at), Bucket())
            bucket.amounts[meter] = bucket.amounts.get(meter, 0) + share
    for start, end in hours(begun, over):
        tenancy.buckets.setdefault(_key(start), Bucket()).covered += (end - start) // MICRO


def fall(world: World) -> None:
    """The site goes down: an outage begins. Nothing there runs, ends or is metered until `rise`."""
    look(world)
    world.faults.down_since = world.now()


def rise(world: World) -> None:
    """It is up again, which ends the outage."""
    if world.faults.down_since is not None:
        world.outages.append((world.faults.down_since, world.now()))
        world.faults.down_since, world.metered = None, world.now()


def read(tenancy: Tenancy, since: datetime, now: datetime) -> list[Usage]:
    """Its intervals from the hour that holds `since` up to now."""
    if tenancy.starts_at is None:
        return []
    found = []
    for begun, over in hours(max(hour(since), instant(tenancy.starts_at)), now):
        bucket = tenancy.buckets.get(_key(begun), Bucket())
        amounts = {meter: amount // COARSE.get(meter, 1000) for meter, amount in bucket.amounts.items()}
        found.append(Usage(begun, over, min(bucket.covered * MICRO, over - begun), amounts))
    return found


def _key(at: datetime) -> str:
    return str(int(hour(at).timestamp()))
