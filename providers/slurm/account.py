"""The account itself: the Unix user with the limits of its logins, and the Slurm account of the same name."""

from providers.host.part import HostPart
from providers.protocol import Fact, PartName, Spec

PAGE = 4096


class Account(HostPart):
    """Facts: user, uid, home, cpu_milli, memory (bytes), pids, slurm_account."""

    name: PartName = "account"
    identity: frozenset[str] = frozenset({"user", "uid"})

    def wanted(self, spec: Spec) -> dict[str, Fact]:
        # The kernel keeps whole pages of memory.
        memory, name = spec.memory // PAGE * PAGE, f"tn-{spec.account}"
        limits: dict[str, Fact] = {"cpu_milli": spec.cpu_milli, "memory": memory, "pids": spec.pids}
        return {"user": name, "slurm_account": name, **limits}
