"""Network: a namespace and veth pair with an address, a rate, and a quota of bytes sent."""

from providers.host.part import HostPart
from providers.protocol import PartName


class Network(HostPart):
    """Facts: address, rate (bits a second), egress (bytes)."""

    name: PartName = "network"
    identity = frozenset({"address"})
    demands = {"rate": "rate", "egress": "egress"}
