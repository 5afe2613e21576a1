"""A Linux container host as a site."""

from collections.abc import Mapping

from providers.host import settings
from providers.host.access import Access
from providers.host.network import Network
from providers.host.site import OF_HOST, HostSite, known_secrets
from providers.host.storage import Storage
from providers.linux.account import Account
from providers.linux.containers import Containers

SECRETS = OF_HOST
RESCUES = True


def connect(name: str, raw: Mapping[str, object], secrets: Mapping[str, str]) -> "LinuxSite":
    """Settings: see `providers.host.settings.HostSettings`. Secrets: see `providers.host.site.known_secrets`."""
    return LinuxSite(settings.parse(name, raw), known_secrets(name, secrets))


class LinuxSite(HostSite):
    """Containers in podman, behind the gate."""

    kinds = (Account, Storage, Network, Containers, Access)
