"""The account itself: a Unix user whose uid nobody else ever gets, and the cgroup that bounds all of it."""

from providers.host.part import HostPart
from providers.protocol import Fact, PartName, Spec

PAGE = 4096


class Account(HostPart):
    """Facts: user, uid, home, cpu_milli, memory (bytes), pids."""

    name: PartName = "account"
    identity: frozenset[str] = frozenset({"user", "uid"})

    def wanted(self, spec: Spec) -> dict[str, Fact]:
        # The kernel keeps whole pages of memory.
        memory = spec.memory // PAGE * PAGE
        return {"user": f"tn-{spec.account}", "cpu_milli": spec.cpu_milli, "memory": memory, "pids": spec.pids}
