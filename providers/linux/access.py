"""Access: the principals file through which certificates are honoured; closed until the account is opened."""

from providers.host.part import HostPart
from providers.protocol import PartName


class Access(HostPart):
    """Facts: group."""

    name: PartName = "access"
    identity: frozenset[str] = frozenset()
