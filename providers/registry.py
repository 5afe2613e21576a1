"""Makes a Site of a named kind from its settings and secrets. A new kind is one folder and one line in `KINDS`."""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import TypeAlias, cast

from providers.protocol import NeedsHuman, Site

Connect: TypeAlias = Callable[[str, Mapping[str, object], Mapping[str, str]], Site]

KINDS: Mapping[str, str] = {
    "aws": "providers.aws.site",
    "linux": "providers.linux.site",
    "memory": "providers.memory.site",
    "slurm": "providers.slurm.site",
}
"""Each module has `connect(name, settings, secrets)`; `SECRETS`: the keys that Tenure makes for its sites; `RESCUES`:
whether its `rescue` gives anything. Imported on first use: a worker loads only the SDKs it needs."""


def connect(kind: str, name: str, settings: Mapping[str, object], secrets: Mapping[str, str]) -> Site:
    """A Site, not yet connected. Bad settings: NeedsHuman, which names the field."""
    if kind not in KINDS:
        raise NeedsHuman(f"site {name}: kind {kind!r} is not known", remedy=f"use one of: {', '.join(sorted(KINDS))}")
    return cast(Connect, import_module(KINDS[kind]).connect)(name, settings, secrets)


def rescues(kind: str) -> bool:
    """Whether holders at a site of this kind may fetch their files after the end: if not, they are not told so."""
    return kind in KINDS and cast(bool, import_module(KINDS[kind]).RESCUES)


def secrets_of(kind: str) -> tuple[str, ...]:
    """Names of the keys that Tenure makes for a site of this kind, each an OpenSSH private key."""
    return cast(tuple[str, ...], import_module(KINDS[kind]).SECRETS)


def is_host(kind: str) -> bool:
    """Whether a site of this kind is a host that Tenure logs in to, with an address and a pinned key."""
    return kind in KINDS and "operator_key" in secrets_of(kind)
