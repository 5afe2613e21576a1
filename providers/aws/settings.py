"""The settings of a site that is one region of one AWS account: read strictly; a message names the field."""

import ipaddress
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from providers.protocol import NeedsHuman

REGION = re.compile(r"[a-z]{2}(-[a-z]+)+-\d")
PLACEMENT = frozenset({"labels", "tier"})
"""Not the site's own: for whoever chooses a site."""


@dataclass(frozen=True, slots=True)
class AwsSettings:
    """One region of one AWS account."""

    site: str
    region: str
    endpoint_url: str = ""
    """Where every service answers, when that is not AWS itself: a private endpoint, or an emulator."""
    vpc_cidr: str = "10.64.0.0/16"
    egress_cidrs: tuple[str, ...] = ("0.0.0.0/0",)
    """Where accounts may connect to, when their offer has any egress at all."""
    session_hours: int = 1
    """The longest role session. More than one hour needs a Tenure that is an IAM user, not a role itself."""
    vcpus: int = 256
    storage_gib: int = 10_240
    """What this site may give away in all."""


def parse(site: str, raw: Mapping[str, object]) -> AwsSettings:
    """Strict: NeedsHuman names the field and says what it must be."""
    readers: Mapping[str, Callable[[object], object]] = {
        "region": _region,
        "endpoint_url": _url,
        "vpc_cidr": _vpc,
        "egress_cidrs": _cidrs,
        "session_hours": _whole(1, 12),
        "vcpus": _whole(1, 1_000_000),
        "storage_gib": _whole(1, 100_000_000),
    }
    read: dict[str, object] = {}
    for name, value in raw.items():
        if name in PLACEMENT:
            continue
        if name not in readers:
            raise _bad(site, name, f"is not a setting; known are {', '.join(sorted({*readers, *PLACEMENT}))}")
        try:
            read[name] = readers[name](value)
        except ValueError as wrong:
            raise _bad(site, name, str(wrong)) from wrong
    if "region" not in read:
        raise _bad(site, "region", "is missing")
    return AwsSettings(site=site, **read)  # type: ignore[arg-type]


def _bad(site: str, name: str, what: str) -> NeedsHuman:
    return NeedsHuman(f"site {site}: {name}: {what}", remedy=f"correct {name} in the site's YAML, then `tenure apply`")


def _region(value: object) -> str:
    if not isinstance(value, str) or not REGION.fullmatch(value):
        raise ValueError(f"must be a region such as eu-central-1 or cn-north-1, not {value!r}")
    return value


def _url(value: object) -> str:
    parts = urlsplit(value) if isinstance(value, str) else None
    if parts is None or parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"must be an http(s) address, not {value!r}")
    return str(value)


def _vpc(value: object) -> str:
    network = ipaddress.IPv4Network(value) if isinstance(value, str) else None
    if network is None or not 16 <= network.prefixlen <= 24:
        raise ValueError(f"must be an IPv4 network between /16 and /24, not {value!r}")
    return str(network)


def _cidrs(value: object) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not all(isinstance(one, str) for one in value):
        raise ValueError("must be a list of IPv4 networks")
    return tuple(sorted(str(ipaddress.IPv4Network(one)) for one in value))


def _whole(low: int, high: int) -> Callable[[object], int]:
    def read(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise ValueError(f"must be a whole number from {low} to {high}, not {value!r}")
        return value

    return read
