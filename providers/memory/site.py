"""A whole site in memory: the rules that every site keeps, with faults that can be switched on."""

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal, TypeVar

from cryptography.hazmat.primitives.asymmetric import ed25519

from providers.host import certificates
from providers.memory import meters, rules
from providers.memory.parts import MemoryPart
from providers.memory.world import Keeper, Tenancy, World, keeper
from providers.metering import KEPT
from providers.protocol import (
    PARTS,
    STORAGE,
    AlreadyFenced,
    Armed,
    Capacity,
    Cleaned,
    Credential,
    Fenced,
    Finding,
    Leftover,
    NeedsHuman,
    Opened,
    Outage,
    Part,
    PartName,
    Refused,
    Spec,
    Stale,
    TryLater,
    Usage,
    checked_account,
)

T = TypeVar("T")
LONGEST_NOTICE = 4096
MOST_SKEW = timedelta(seconds=2)
SECRETS = ("ca_key",)
RESCUES = True


def connect(name: str, settings: Mapping[str, object], secrets: Mapping[str, str]) -> "MemorySite":
    """Settings: `file` (optional) shares the site between processes. Secrets: `ca_key` (optional), an OpenSSH private
    key."""
    unknown = sorted(set(settings) - {"file"})
    if unknown:
        raise NeedsHuman(f"site {name}: unknown setting {unknown[0]!r}", remedy="a memory site takes: file")
    file = settings.get("file")
    if file is not None and not isinstance(file, str):
        raise NeedsHuman(f"site {name}: file: must be a path", remedy="give a path, or leave it out")
    ca = certificates.private_key(secrets["ca_key"], f"site {name}: ca_key") if secrets.get("ca_key") else None
    return MemorySite(name, keeper(name, Path(file) if file else None), ca)


class MemorySite:
    """One site. Two objects of one name share one world."""

    def __init__(self, name: str, held: Keeper, ca: certificates.PrivateKey | None = None) -> None:
        self.name = name
        self.keeper = held
        self.parts: Mapping[PartName, Part] = {part: MemoryPart(part, self._enter) for part in PARTS}
        self._ca = ca or ed25519.Ed25519PrivateKey.from_private_bytes(hashlib.sha256(name.encode()).digest())

    def now(self) -> datetime:
        return self._enter(None, lambda world: rules.instant(world.now()))

    def reaper(self) -> Finding:
        """Off with the fault of that name."""
        off = self._enter(None, lambda world: world.faults.no_reaper)
        return Finding("reaper", not off, "off" if off else "on", "" if not off else "switch the fault off")

    def arm(self, spec: Spec, end: datetime, generation: int) -> Armed | AlreadyFenced:
        def act(world: World) -> Armed | AlreadyFenced:
            rules.not_lower(world, spec.account, generation)
            if spec.account not in world.tenancies and generation <= world.tombstones.get(spec.account, 0):
                raise Stale(f"account {spec.account}: was cleaned away at {self.name}")
            if spec.account not in world.tenancies and world.faults.full:
                raise NeedsHuman(f"site {self.name}: is full", remedy="let offers go to another site")
            tenancy = world.tenancies.setdefault(spec.account, Tenancy(end.timestamp(), generation))
            if tenancy.fenced_at is None and tenancy.end <= world.now() and tenancy.end != end.timestamp():
                world.fence(spec.account, tenancy.end, "end")
            if tenancy.fenced_at is not None:
                return rules.fence_of(tenancy)
            tenancy.end, tenancy.generation = end.timestamp(), generation
            return Armed(end, generation)

        return self._enter(spec.account, act)

    def open(self, spec: Spec, duration: timedelta, generation: int) -> Opened:
        def act(world: World) -> Opened:
            tenancy = rules.tenancy(world, spec.account)
            rules.not_lower(world, spec.account, generation)
            if tenancy.fenced_at is not None:
                raise Refused(f"account {spec.account}: was fenced before it could be opened")
            if tenancy.starts_at is None or tenancy.duration is None:
                missing = [part for part in PARTS if part not in tenancy.parts]
                if missing:
                    raise Refused(f"account {spec.account}: cannot open without {', '.join(missing)}")
                tenancy.starts_at, tenancy.duration, tenancy.open = world.now(), duration.total_seconds(), True
                tenancy.end = tenancy.starts_at + tenancy.duration
            tenancy.generation = generation
            return Opened(rules.instant(tenancy.starts_at), rules.instant(tenancy.starts_at + tenancy.duration))

        if duration <= timedelta(0):
            raise Refused(f"account {spec.account}: a lease of {duration} cannot be opened")
        return self._enter(spec.account, act)

    def issue(self, spec: Spec, holder_key: str, end: datetime) -> Credential:
        key = certificates.holder_key(holder_key)

        def act(world: World) -> Credential:
            tenancy = rules.tenancy(world, spec.account)
            if not tenancy.usable:
                raise Refused(f"account {spec.account}: logins are closed")
            until = min(end, rules.instant(tenancy.end)).replace(microsecond=0)
            name = certificates.principal(self._ca, spec.account, key)
            line = certificates.mint(self._ca, key, spec.account, name, rules.instant(world.now()), until)
            tenancy.principals[name] = until.timestamp()
            return Credential(line, f"tn-{spec.account}@memory.invalid", 22, (self._host_line(),), until)

        return self._enter(spec.account, act)

    def rescue(self, spec: Spec, holder_key: str, until: datetime) -> Credential:
        key = certificates.holder_key(holder_key)

        def act(world: World) -> Credential:
            end = until.replace(microsecond=0)
            tenancy = rules.fetchable(world, spec.account, end)
            name = f"{certificates.principal(self._ca, spec.account, key)}:rescue"
            line = certificates.mint(self._ca, key, spec.account, name, rules.instant(world.now()), end, terminal=False)
            tenancy.principals, tenancy.rescue_until = {name: end.timestamp()}, end.timestamp()
            return Credential(line, f"tn-{spec.account}@memory.invalid", 22, (self._host_line(),), end)

        return self._enter(spec.account, act)

    def export(self, account: str, include: Sequence[str], put: Callable[[bytes], object]) -> int:
        packed = self._enter(account, lambda world: rules.packed(world, account, include))
        put(packed)
        return len(packed)

    def fence(self, batch: Sequence[tuple[str, int]], by: Literal["end", "operator"]) -> list[Fenced]:
        return self._enter(None, lambda world: [rules.fence(world, *one, by) for one in batch])

    def unfence(self, spec: Spec, generation: int, end: datetime) -> Armed | AlreadyFenced:
        def act(world: World) -> Armed | AlreadyFenced:
            tenancy = rules.tenancy(world, spec.account)
            rules.not_lower(world, spec.account, generation)
            if end.timestamp() <= world.now():
                return rules.fence_of(tenancy) if tenancy.fenced_at is not None else AlreadyFenced(end, "end")
            if tenancy.fenced_at is not None:
                tenancy.end_rescue()
            tenancy.generation, tenancy.end, tenancy.fenced_at = generation, end.timestamp(), None
            return Armed(end, generation)

        return self._enter(spec.account, act)

    def warn(self, account: str, text: str) -> None:
        def act(world: World) -> None:
            rules.tenancy(world, account).notice = text[:LONGEST_NOTICE]

        self._enter(account, act)

    def leftovers(self, account: str) -> list[Leftover]:
        def act(world: World) -> list[Leftover]:
            found = [Leftover(kind, f"{kind} of {account}", unlisted=True) for kind in world.faults.unlisted]
            tenancy = world.tenancies.get(account)
            if tenancy is None:
                return found
            found += [Leftover(part, f"{part} of {account}") for part in reversed(PARTS) if part in tenancy.parts]
            found += [Leftover("stray", stray) for stray in tenancy.strays]
            return [*found, Leftover("lease", f"lease of {account}")]

        return self._enter(account, act)

    def clean(self, batch: Sequence[tuple[str, int]]) -> list[Cleaned]:
        return self._enter(None, lambda world: [rules.clean(world, *one) for one in batch])

    def accounts(self) -> list[str]:
        return self._enter(None, lambda world: sorted(world.tenancies))

    def usage(self, account: str, since: datetime) -> list[Usage]:
        def act(world: World) -> list[Usage]:
            tenancy = world.tenancies.get(account)
            return [] if tenancy is None else meters.read(tenancy, since, rules.instant(world.now()))

        return self._enter(account, act)

    def stored(self, account: str) -> int | None:
        def act(world: World) -> int | None:
            tenancy = world.tenancies.get(account)
            return None if tenancy is None or STORAGE in world.faults.unmetered else tenancy.stored

        return self._enter(account, act)

    def outages(self, since: datetime) -> list[Outage]:
        def act(world: World) -> list[Outage]:
            kept = [Outage(rules.instant(begun), rules.instant(over)) for begun, over in world.outages]
            return [one for one in kept if one.until > max(since, rules.instant(world.now()) - KEPT)]

        return self._enter(None, act)

    def capacity(self) -> Capacity:
        def act(world: World) -> Capacity:
            limits = [tenancy.parts.get("storage", {}).get("storage") for tenancy in world.tenancies.values()]
            taken = sum(limit for limit in limits if isinstance(limit, int))
            return Capacity(world.cpu_milli, world.memory, world.storage, max(0, world.storage - taken))

        return self._enter(None, act)

    def check(self) -> list[Finding]:
        skew = abs(self.now() - datetime.now(UTC))
        prepared = self._enter(None, lambda world: world.prepared)
        return [
            Finding("clock", skew <= MOST_SKEW, f"{skew.total_seconds():.3f} s off", "set the site's clock"),
            *(Finding("prepared", prepared, "yes" if prepared else "no", f"tenure site prepare {self.name}", part)
              for part in PARTS),
        ]

    def prepare(self, dry_run: bool) -> list[str]:
        def act(world: World) -> list[str]:
            changes = [] if world.prepared else ["the site becomes prepared"]
            world.prepared = world.prepared or not dry_run
            return changes

        return self._enter(None, act)

    def unprepare(self, dry_run: bool) -> list[str]:
        def act(world: World) -> list[str]:
            if world.tenancies:
                raise Refused(f"site {self.name}: accounts are there: {', '.join(sorted(world.tenancies)[:5])}")
            changes = ["the site is prepared no longer"] if world.prepared else []
            world.prepared = world.prepared and dry_run
            return changes

        return self._enter(None, act)

    def close(self) -> None:
        """Nothing to drop."""

    def _host_line(self) -> str:
        return f"memory.invalid {certificates.public_line(self._ca.public_key())}"

    def _enter(self, account: str | None, act: Callable[[World], T]) -> T:
        """One call to the site: its reaper has run, its faults have their say."""
        if account is not None:
            checked_account(account)
        faults = self.keeper.peek(lambda world: world.faults)
        if faults.dead and faults.hang:
            time.sleep(faults.hang)
        if faults.dead or faults.down_since is not None:
            raise TryLater(f"site {self.name}: does not answer")
        if faults.slow:
            time.sleep(faults.slow)
        with self.keeper.held() as world:
            rules.not_poisoned(world, account)
            meters.look(world)
            world.tick()
            answer = act(world)
            if world.faults.lost_answers:
                world.faults.lost_answers -= 1
                raise TryLater(f"site {self.name}: the answer was lost")
            return answer
