"""Access: the file of principals that sshd reads at each login; empty until the account is opened."""

from providers.host.part import HostPart
from providers.protocol import Fact, PartName, Spec


class Access(HostPart):
    """Facts: login, principals (the file)."""

    name: PartName = "access"
    identity: frozenset[str] = frozenset({"login"})

    def wanted(self, spec: Spec) -> dict[str, Fact]:
        return {"login": f"tn-{spec.account}"}
