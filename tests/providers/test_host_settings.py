"""Settings of a host: read strictly, and a message names the field."""

import pytest

from providers.host import settings
from providers.protocol import NeedsHuman
from tests.providers.keys import make_key

GOOD: dict[str, object] = {"address": "host.example", "host_key": f"host.example {make_key().public}"}


def test_little_is_needed() -> None:
    """An address and the host's key; all else has a default."""
    assert settings.parse("s", GOOD).port == 22


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("address", "-oProxyCommand=x"),
        ("address", "a b"),
        ("address", "host\nother"),
        ("address", 7),
        ("port", 0),
        ("port", "22"),
        ("port", True),
        ("user", "root; id"),
        ("user", "-x"),
        ("host_key", "host nothing"),
        ("net_range", "10.0.0.0/33"),
        ("net_range", "10.0.0.1/16"),
        ("net_range", "10.0.0.0/30"),
        ("uid_min", 0),
        ("uid_max", 2000),
        ("pool", "srv"),
        ("pool", "/srv/../etc"),
        ("pool", "/srv/a b"),
        ("models", ["a"]),
        ("models", {"../x": "/srv/x"}),
        ("models", {"x": "x"}),
        ("masquerade", "yes"),
        ("paths", {"lib": "here"}),
        ("paths", {"libs": "/here"}),
        ("adress", "host.example"),
    ],
)
def test_a_bad_setting_is_named(name: str, value: object) -> None:
    """The site and the field stand in the message."""
    with pytest.raises(NeedsHuman, match=rf"site s\b.*{name}|site s: paths.*lib"):
        settings.parse("s", {**GOOD, name: value})


@pytest.mark.parametrize("name", ["address", "host_key"])
def test_a_missing_setting_is_named(name: str) -> None:
    """What has no default must be there."""
    with pytest.raises(NeedsHuman, match=f"{name}: is missing"):
        settings.parse("s", {key: value for key, value in GOOD.items() if key != name})


def test_holders_may_come_in_by_another_door() -> None:
    """What holders connect to may differ from what Tenure connects to; the pinned key is the same."""
    door = settings.parse("s", {**GOOD, "public_address": "gate.example", "public_port": 2222}).door
    assert door.known_hosts().startswith("[gate.example]:2222 ssh-ed25519 ")
