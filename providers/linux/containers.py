"""Containers: how many may run at once and of which images; their sum is bounded by the account's cgroup."""

from providers.host.part import HostPart
from providers.protocol import Fact, PartName, Spec


class Containers(HostPart):
    """Facts: cgroup, containers, images, models."""

    name: PartName = "containers"
    identity: frozenset[str] = frozenset({"cgroup"})

    def wanted(self, spec: Spec) -> dict[str, Fact]:
        return {"containers": spec.containers, "images": sorted(spec.images), "models": sorted(spec.models)}
