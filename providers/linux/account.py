"""The account itself: a Unix user with a uid that nobody else ever gets."""

from providers.host.part import HostPart
from providers.protocol import PartName


class Account(HostPart):
    """Facts: user, uid."""

    name: PartName = "account"
    identity = frozenset({"user", "uid"})
