"""Containers, which here are jobs: how many run at once, and what all of them together may have."""

from providers.host.part import HostPart
from providers.protocol import Fact, PartName, Spec


class Containers(HostPart):
    """Facts: qos, jobs, tres (cpu, memory in MiB, nodes, each GRES), reservation, flags, models, and whether its cores
    are set aside: a reservation with jobs in it cannot become another, so that never changes in place."""

    name: PartName = "containers"
    identity: frozenset[str] = frozenset({"qos", "set_aside"})

    def wanted(self, spec: Spec) -> dict[str, Fact]:
        return {"qos": f"tn-{spec.account}", "jobs": spec.containers, "models": sorted(spec.models)}
