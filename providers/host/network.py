"""Network: a namespace and veth pair with an address, a rate, and a quota of bytes sent."""

from providers.host.part import HostPart
from providers.protocol import Fact, PartName, Spec


class Network(HostPart):
    """Facts: netns, address, rate (bits a second), egress (bytes)."""

    name: PartName = "network"
    identity: frozenset[str] = frozenset({"netns", "address"})

    def wanted(self, spec: Spec) -> dict[str, Fact]:
        # The site shapes whole bytes a second.
        return {"netns": f"tn-{spec.account}", "rate": spec.rate // 8 * 8, "egress": spec.egress}
