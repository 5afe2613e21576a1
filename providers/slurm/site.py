"""A Slurm cluster as a site: its login node is a host like any other, and the program there speaks to Slurm."""

from collections.abc import Mapping

from providers.host import settings
from providers.host.access import Access
from providers.host.network import Network
from providers.host.site import OF_HOST, HostSite, known_secrets
from providers.host.storage import Storage
from providers.host.wire import WORK
from providers.protocol import NeedsHuman
from providers.slurm.account import Account
from providers.slurm.containers import Containers

SECRETS = OF_HOST
RESCUES = True


def connect(name: str, raw: Mapping[str, object], secrets: Mapping[str, str]) -> "SlurmSite":
    """Settings: those of a host, and the section `slurm` (`providers.host.settings.SlurmSettings`)."""
    host = settings.parse(name, raw)
    if host.slurm is None:
        raise NeedsHuman(
            f"site {name}: slurm: is missing",
            remedy="add `slurm: {licence: tenure}` to the site's settings, then `tenure apply`",
        )
    return SlurmSite(host, known_secrets(name, secrets))


class SlurmSite(HostSite):
    """Jobs instead of containers; storage, network and access are a host's."""

    kinds = (Account, Storage, Network, Containers, Access)
    short = WORK
