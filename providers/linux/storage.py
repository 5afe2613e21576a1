"""Storage: a btrfs subvolume with a limit on its bytes, and read-only mounts of the offered models."""

from providers.host.part import HostPart
from providers.protocol import PartName


class Storage(HostPart):
    """Facts: subvolume, limit (bytes)."""

    name: PartName = "storage"
    identity = frozenset({"subvolume"})
    demands = {"limit": "storage"}
