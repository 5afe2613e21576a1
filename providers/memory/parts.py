"""The five parts of an account at a memory site."""

from collections.abc import Callable, Mapping
from typing import Protocol, TypeVar

from providers.memory.world import FIRST_UID, Tenancy, World
from providers.protocol import Fact, PartName, Refused, Seen, Spec

T = TypeVar("T")


class Enter(Protocol):
    """Runs a function on the world as one call to the site, with the site's faults."""

    def __call__(self, account: str, act: Callable[[World], T]) -> T: ...


IDENTITY: Mapping[PartName, frozenset[str]] = {
    "account": frozenset({"user", "uid"}),
    "storage": frozenset({"subvolume", "subvolume_id"}),
    "network": frozenset({"netns", "address"}),
    "containers": frozenset({"cgroup"}),
    "access": frozenset({"login"}),
}


def facts(part: PartName, spec: Spec, uid: int) -> dict[str, Fact]:
    """What this part is to look like for this spec."""
    user, slot = f"tn-{spec.account}", uid - FIRST_UID
    address = f"10.{slot >> 14 & 255}.{slot >> 6 & 255}.{(slot << 2 & 255) + 2}"
    every: Mapping[PartName, dict[str, Fact]] = {
        "account": {
            "user": user,
            "uid": uid,
            "home": f"/memory/{spec.account}/home",
            "cpu_milli": spec.cpu_milli,
            "memory": spec.memory,
            "pids": spec.pids,
        },
        "storage": {"subvolume": f"/memory/{spec.account}", "subvolume_id": 256 + slot, "storage": spec.storage},
        "network": {"netns": user, "address": address, "rate": spec.rate, "egress": spec.egress},
        "containers": {
            "cgroup": f"tenure/{spec.account}",
            "containers": spec.containers,
            "images": sorted(spec.images),
            "models": sorted(spec.models),
        },
        "access": {"login": user, "principals": f"/memory/principals/{user}"},
    }
    return every[part]


class MemoryPart:
    """One of the five."""

    def __init__(self, name: PartName, enter: Enter) -> None:
        self.name: PartName = name
        self.identity = IDENTITY[name]
        self._enter = enter

    def observe(self, spec: Spec) -> Seen | None:
        def look(world: World) -> Seen | None:
            tenancy = world.tenancies.get(spec.account)
            there = tenancy.parts.get(self.name) if tenancy else None
            return None if there is None else Seen(self.name, dict(there))

        return self._enter(spec.account, look)

    def ensure(self, spec: Spec) -> Seen:
        def make(world: World) -> Seen:
            tenancy = self._tenancy(world, spec)
            if self.name != "account" and "account" not in tenancy.parts:
                raise Refused(f"account {spec.account}: {self.name} before the account itself")
            wanted = facts(self.name, spec, self._uid(world, tenancy))
            if self.name == "storage" and tenancy.stored > spec.storage:
                raise Refused(f"account {spec.account}: {tenancy.stored} bytes are stored, more than {spec.storage}")
            tenancy.parts[self.name] = wanted
            return Seen(self.name, dict(wanted))

        return self._enter(spec.account, make)

    def remove(self, spec: Spec) -> None:
        def take(world: World) -> None:
            tenancy = world.tenancies.get(spec.account)
            if tenancy is not None and tenancy.usable:
                raise Refused(f"account {spec.account}: is in use: fence it first")
            if tenancy is None or (self.name == "storage" and spec.account in world.faults.sticky):
                return
            if self.name == "access":
                tenancy.end_rescue()
            if self.name == "containers":
                tenancy.running = 0
            tenancy.parts.pop(self.name, None)

        self._enter(spec.account, take)

    def _tenancy(self, world: World, spec: Spec) -> Tenancy:
        """Nothing is made for an account whose end the site does not know."""
        if spec.account not in world.tenancies:
            raise Refused(f"account {spec.account}: has no end at this site yet, arm it first")
        return world.tenancies[spec.account]

    def _uid(self, world: World, tenancy: Tenancy) -> int:
        kept = tenancy.parts.get("account", {}).get("uid")
        if isinstance(kept, int):
            return kept
        world.next_uid += 1
        return world.next_uid - 1
