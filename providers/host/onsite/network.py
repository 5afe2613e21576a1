"""The network part: one network namespace and veth pair per account for its shell and containers alike, a token
bucket in each direction, and an egress quota. The address follows from the slot."""

import contextlib
import ipaddress
import json
import os
import socket
from pathlib import Path
from typing import Any

from . import files, meters, names, nft, paths
from .config import Config
from .errors import Later
from .run import run
from .spec import Account

INSIDE = "eth0"
MIN_BURST = 64 << 10


def addresses(config: Config, slot: int) -> tuple[str, str]:
    """The site's and the account's address in the slot's /30."""
    first = config.net_range.network_address + 4 * slot
    return str(ipaddress.IPv4Address(first + 1)), str(ipaddress.IPv4Address(first + 2))


def observe(config: Config, account: Account) -> dict[str, Any] | None:
    """Namespace, address, rate and egress limit as the kernel shows them; None without namespace, veth or address: a
    network that lost one is repaired, and is no other one."""
    if not stands(account.id) or not linked(account.id) or not (address := address_of(account.id)):
        return None
    rates = {rate_of(["-n", names.netns(account.id)], INSIDE), rate_of([], names.veth(account.id))}
    return {
        "netns": names.netns(account.id),
        "address": address,
        "rate": min(rates),
        "egress": nft.quotas(config).get(account.id, 0),
    }


def ensure(config: Config, account: Account) -> dict[str, Any]:
    """Make or repair all of it, and read it back."""
    site, inside = addresses(config, account.slot)
    link(account.id)
    plug(account, site, inside)
    shape(account)
    forward(config)
    nft.add_account(config, account.id, account.spec.egress, meters.sent(config, account.id))
    seen = observe(config, account)
    wanted = {
        "netns": names.netns(account.id),
        "address": inside,
        "rate": account.spec.rate // 8 * 8,
        "egress": account.spec.egress,
    }
    if seen != wanted:
        raise Later(f"network of {account.id}: is to be {wanted}, reads back as {seen}")
    return wanted


def link(account: str) -> None:
    """The namespace and the pair between it and the site. A namespace without its end of the pair is made anew."""
    name, veth = names.netns(account), names.veth(account)
    if not stands(account):
        unlink(account)
        run(["ip", "netns", "add", name])
    if linked(account) and run(["ip", "-n", name, "link", "show", "dev", INSIDE], check=False).code != 0:
        run(["ip", "link", "delete", veth])
    if not linked(account):
        run(["ip", "link", "add", veth, "type", "veth", "peer", "name", INSIDE, "netns", name])


def plug(account: Account, site: str, inside: str) -> None:
    """Addresses, links up, and the way out."""
    veth = names.veth(account.id)
    run(["ip", "-batch", "-"], input=f"addr replace {site}/30 dev {veth}\nlink set {veth} up\n")
    run(
        ["ip", "-n", names.netns(account.id), "-batch", "-"],
        input=f"link set lo up\naddr replace {inside}/30 dev {INSIDE}\nlink set {INSIDE} up\n"
        f"route replace default via {site}\n",
    )


def shape(account: Account) -> None:
    """The rate, in both directions. A bucket smaller than what passes in 10 ms would never reach the rate."""
    rate = account.spec.rate // 8 * 8
    bucket = ["root", "tbf", "rate", f"{rate}bit", "burst", str(max(MIN_BURST, rate // 800)), "latency", "200ms"]
    run(["tc", "qdisc", "replace", "dev", names.veth(account.id), *bucket])
    run(["tc", "-n", names.netns(account.id), "qdisc", "replace", "dev", INSIDE, *bucket])


def forward(config: Config) -> None:
    """A site that masquerades for its accounts must pass their packets on."""
    knob = Path("/proc/sys/net/ipv4/ip_forward")
    if config.masquerade and knob.read_text().strip() != "1":
        knob.write_text("1")


def remove(config: Config, account: str) -> None:
    """Take namespace, pair and counters away, and see them gone."""
    unlink(account)
    nft.remove_account(config, account)
    if left := traces(account):
        raise Later(f"network of {account}: still there: {', '.join(left)}")


def unlink(account: str) -> None:
    if linked(account):
        run(["ip", "link", "delete", names.veth(account)], check=False)
    if paths.netns(account).exists():
        run(["ip", "netns", "delete", names.netns(account)], check=False)
        if not stands(account):
            files.remove(paths.netns(account), sync=False)


def traces(account: str) -> list[str]:
    """Which of namespace and pair are there."""
    left = [f"netns {names.netns(account)}"] if paths.netns(account).exists() else []
    return left + ([f"veth {names.veth(account)}"] if linked(account) else [])


def stands(account: str) -> bool:
    """Whether the namespace is one, not merely a file that a crash left behind."""
    with contextlib.suppress(FileNotFoundError):
        return os.stat(paths.netns(account)).st_dev == os.stat("/proc/self/ns/net").st_dev
    return False


def linked(account: str) -> bool:
    with contextlib.suppress(OSError):
        return socket.if_nametoindex(names.veth(account)) > 0
    return False


def address_of(account: str) -> str:
    ran = run(["ip", "-n", names.netns(account), "-json", "-4", "addr", "show", "dev", INSIDE], check=False)
    rows = json.loads(ran.out or "[]") if ran.code == 0 else []
    found = [row["local"] for one in rows for row in one.get("addr_info", [])]
    return ",".join(found)


def rate_of(where: list[str], device: str) -> int:
    """Bits a second of the device's token bucket, 0 without one."""
    ran = run(["tc", *where, "-json", "qdisc", "show", "dev", device], check=False)
    rows = json.loads(ran.out or "[]") if ran.code == 0 else []
    return next((row["options"]["rate"] * 8 for row in rows if row.get("kind") == "tbf" and row.get("root")), 0)
