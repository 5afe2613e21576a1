"""What an account consists of: five resources, each after the ones it stands on. This is the Pulumi program."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import pulumi

from providers.protocol import PARTS, PartName, Spec

Report = Callable[[PartName, Mapping[str, Any]], None]


class Resource(pulumi.CustomResource):
    """One part at the account's site. `facts` is how the site showed it when it was made or last changed."""

    facts: pulumi.Output[Mapping[str, Any]]

    def __init__(self, kind: str, inputs: Mapping[str, Any], after: list["Resource"]) -> None:
        options = pulumi.ResourceOptions(depends_on=after)
        super().__init__(f"tenure:index:{kind}", kind.lower(), {**inputs, "facts": None}, options)


def account(spec: Spec, site: str, report: Report) -> None:
    """Declare the five. Removal goes the other way round, hence containers stand on storage and network: their layers
    and addresses are gone before what holds them is. `report` is told each part's facts once they are known."""
    whose = {"account": spec.account, "site": site}
    user = Resource(
        "Account", {**whose, "cpu_milli": spec.cpu_milli, "memory": spec.memory, "pids": spec.pids}, after=[]
    )
    storage = Resource("Storage", {**whose, "storage": spec.storage}, after=[user])
    network = Resource("Network", {**whose, "rate": spec.rate, "egress": spec.egress}, after=[user])
    containers = Resource("Containers", {**whose, **contained(spec)}, after=[storage, network])
    access = Resource("Access", whose, after=[containers])
    for name, part in zip(PARTS, (user, storage, network, containers, access), strict=True):
        pulumi.export(name, part.facts)
        part.facts.apply(partial(report, name))


def contained(spec: Spec) -> dict[str, Any]:
    """How many containers, of what, with what in them; and what they may use together, which a cluster or a cloud keeps
    beside the account's own limits."""
    return {
        "containers": spec.containers,
        "cpu_milli": spec.cpu_milli,
        "memory": spec.memory,
        "images": sorted(spec.images),
        "models": sorted(spec.models),
        "accelerators": dict(spec.accelerators),
        **({"set_aside": True} if spec.set_aside else {}),
    }
