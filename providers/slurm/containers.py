"""Containers, which here are jobs: how many run at once, and what all of them together may have."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet

from providers.host.part import HostPart
from providers.protocol import Fact, PartName, Spec


class Containers(HostPart):
    """Facts: qos, jobs, tres (cpu, memory in MiB, nodes, each GRES), reservation and the cores that it holds, flags,
    models, and whether the offer sets its cores aside, which never changes in place."""

    name: PartName = "containers"
    identity: frozenset[str] = frozenset({"qos", "set_aside"})

    def wanted(self, spec: Spec) -> dict[str, Fact]:
        return {"qos": f"tn-{spec.account}", "jobs": spec.containers, "models": sorted(spec.models)}

    def rigid(self, facts: Mapping[str, Fact], spec: Spec) -> AbstractSet[str]:
        """A reservation keeps the number of cores that it holds. After an end it is gone, and another may be made."""
        wanted = -(-spec.cpu_milli // 1000)
        return frozenset() if held(facts) in (0, wanted) else frozenset({"cores"})


def held(facts: Mapping[str, Fact]) -> int:
    """Cores that the reservation holds. Facts of an account that has none say so, and older ones have only the limit,
    which is as many."""
    if "cores" not in facts and facts.get("set_aside"):
        limits = dict(word.partition("=")[::2] for word in str(facts.get("tres", "")).split(","))
        return int(limits.get("cpu", 0))
    return int(str(facts.get("cores", 0)))
