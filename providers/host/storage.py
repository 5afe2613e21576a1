"""Storage: a btrfs subvolume with a limit on its bytes, which no container's layer or log escapes."""

from providers.host.part import HostPart
from providers.protocol import Fact, PartName, Spec


class Storage(HostPart):
    """Facts: subvolume, subvolume_id, storage (bytes)."""

    name: PartName = "storage"
    identity: frozenset[str] = frozenset({"subvolume", "subvolume_id"})

    def wanted(self, spec: Spec) -> dict[str, Fact]:
        return {"storage": spec.storage}
