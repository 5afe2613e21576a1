"""Containers: one cgroup over everything of the account, and how many containers of which images may run in it."""

from providers.host.part import HostPart
from providers.protocol import PartName


class Containers(HostPart):
    """Facts: cgroup, containers, cpu_milli, memory (bytes), pids, images."""

    name: PartName = "containers"
    identity = frozenset({"cgroup"})
    demands = {"containers": "containers", "cpu_milli": "cpu_milli", "memory": "memory", "pids": "pids"}
