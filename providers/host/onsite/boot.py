"""Which boot of the host this is, and whether an account's limits stand since it."""

from pathlib import Path

from . import files, paths
from .config import Config

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def boot_id() -> str:
    """What changes with every boot of this host."""
    return BOOT_ID.read_text().strip()


def ready(config: Config, account: str) -> bool:
    """Whether the account's limits stand since the last reboot. False keeps its gate and logins shut."""
    try:
        return paths.ready(config, account).read_text() == boot_id()
    except FileNotFoundError:
        return False


def mark_ready(config: Config, account: str) -> None:
    files.write(paths.ready(config, account), boot_id(), sync=False)
