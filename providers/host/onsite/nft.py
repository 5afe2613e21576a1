"""The site's one nft table: egress counted and cut per account, fenced accounts dropped, accounts apart.

Egress is what comes out of an account's veth, to the outside or to this host. A named quota cuts it; it also counts
what it cuts, so a named counter behind it says what has passed. Link-local addresses are not passed on: there a cloud
answers a host, and so its accounts behind the same address, with the host's own credentials.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from . import lock, names
from .config import Config
from .errors import Later
from .run import run

BASE = """
add table inet {table}
add set inet {table} members {{ type ifname; }}
add set inet {table} fenced {{ type ifname; }}
add map inet {table} egress {{ type ifname : verdict; }}
add chain inet {table} forwarded {{ type filter hook forward priority filter - 10; policy accept; }}
add chain inet {table} incoming {{ type filter hook input priority filter - 10; policy accept; }}
add chain inet {table} outgoing {{ type filter hook output priority filter - 10; policy accept; }}
add rule inet {table} forwarded iifname @fenced drop
add rule inet {table} forwarded oifname @fenced drop
add rule inet {table} forwarded iifname @members oifname @members drop
add rule inet {table} forwarded iifname @members ip daddr 169.254.0.0/16 drop
add rule inet {table} forwarded iifname vmap @egress
add rule inet {table} incoming iifname @fenced drop
add rule inet {table} incoming iifname vmap @egress
add rule inet {table} outgoing oifname @fenced drop
"""

FENCED = "fenced"
MISSING = "No such file or directory"
AT_ONCE = 2.0
"""Seconds that a fence waits for nft before it goes on to the processes."""
MASQUERADE = """
add chain inet {table} leaving {{ type nat hook postrouting priority srcnat; policy accept; }}
add rule inet {table} leaving ip saddr {range} oifname != @members masquerade
"""


def base(config: Config) -> None:
    """Make the table unless it is there; all of it or nothing."""
    if there(config):
        return
    with lock.site(config):
        if not there(config):
            text = BASE + (MASQUERADE if config.masquerade else "")
            apply(text.format(table=config.nft_table, range=config.net_range))


def there(config: Config) -> bool:
    return run(["nft", "list", "set", "inet", config.nft_table, "fenced"], check=False).code == 0


def apply(text: str, timeout: float = 30.0) -> None:
    """One transaction."""
    run(["nft", "-f", "-"], input=text, timeout=timeout)


def add_account(config: Config, account: str, egress: int, used: int) -> None:
    """Cut the account's egress at `egress` bytes; a new counter starts at `used`, one that is there counts on."""
    table, quota, chain, veth = config.nft_table, names.quota(account), names.chain(account), names.veth(account)
    counter, present = names.counter(account), stateful(config, "quota")
    if not present:
        base(config)
    allowed = present.get(quota, {}).get("bytes")
    steps = [f"add chain inet {table} {chain}", f"flush chain inet {table} {chain}"]
    if allowed is not None and allowed != egress:
        # nothing passes between reading the counter and the new quota: not a byte is forgotten
        apply("\n".join([*steps, f"add rule inet {table} {chain} drop"]) + "\n")
        used = passed(config).get(account, used)
        steps.append(f"delete quota inet {table} {quota}")
    if allowed != egress:
        steps.append(f"add quota inet {table} {quota} {{ over {egress} bytes used {used} bytes; }}")
    steps += [
        f"add counter inet {table} {counter} {{ packets 0 bytes {used}; }}",
        f'add rule inet {table} {chain} quota name "{quota}" drop',
        f'add rule inet {table} {chain} counter name "{counter}"',
        f'add element inet {table} members {{ "{veth}" }}',
        f'add element inet {table} egress {{ "{veth}" : jump {chain} }}',
    ]
    apply("\n".join(steps) + "\n")


def remove_account(config: Config, account: str) -> None:
    """Forget the account's veth, chain and counter; already gone is success. The drop of a fence
    stays until the lease goes."""
    table, chain, veth = config.nft_table, names.chain(account), names.veth(account)
    steps = [
        f'delete element inet {table} egress {{ "{veth}" }}',
        f'delete element inet {table} members {{ "{veth}" }}',
        f"delete chain inet {table} {chain}",
        f"delete quota inet {table} {names.quota(account)}",
        f"delete counter inet {table} {names.counter(account)}",
    ]
    if not there(config):
        return
    if run(["nft", "-f", "-"], input="\n".join(steps) + "\n", check=False).code != 0:
        for step in steps:
            run(["nft", "-f", "-"], input=step + "\n", check=False)
    if left := set(traces(config, account)) - {FENCED}:
        raise Later(f"{account}: still in nft table {table}: {', '.join(left)}")


def drop(config: Config, accounts: Iterable[str]) -> None:
    """No packet of these accounts passes any more, in either direction. One transaction for all."""
    veths = ", ".join(f'"{names.veth(account)}"' for account in accounts)
    text = f"add element inet {config.nft_table} fenced {{ {veths} }}\n"
    try:
        apply(text, AT_ONCE)
    except Later:
        base(config)
        apply(text, AT_ONCE)


def undrop(config: Config, account: str) -> None:
    base(config)
    veth = names.veth(account)
    apply(
        f'add element inet {config.nft_table} fenced {{ "{veth}" }}\n'
        f'delete element inet {config.nft_table} fenced {{ "{veth}" }}\n'
    )


def forget(config: Config, account: str) -> None:
    """Take away the drop of an account of which nothing else is left here."""
    if there(config):
        undrop(config, account)


def objects(config: Config) -> list[dict[str, Any]]:
    """All that is in the table, as nft's JSON has it."""
    found: list[dict[str, Any]] = json.loads(run(["nft", "-j", "list", "table", "inet", config.nft_table]).out)[
        "nftables"
    ]
    return found


def quotas(config: Config) -> dict[str, int]:
    """Bytes that each account may send in all."""
    return {name.removeprefix("q_"): row["bytes"] for name, row in stateful(config, "quota").items()}


def passed(config: Config) -> dict[str, int]:
    """Bytes that each account has sent, without those that were cut."""
    return {name.removeprefix("n_"): row["bytes"] for name, row in stateful(config, "counter").items()}


def stateful(config: Config, kind: str) -> dict[str, dict[str, Any]]:
    """The table's named objects of this kind; none without the table. Later when nft does not say."""
    ran = run(["nft", "-j", "list", f"{kind}s", "table", "inet", config.nft_table], check=False)
    if ran.code != 0:
        if MISSING not in ran.err:
            raise Later(f"nft: {kind}s of table {config.nft_table}: {ran.said}")
        return {}
    return {one[kind]["name"]: one[kind] for one in json.loads(ran.out)["nftables"] if kind in one}


def elements(found: Iterable[Mapping[str, Any]], name: str) -> set[str]:
    """Interfaces in the set or map `name`."""
    for one in found:
        held = one.get("set") or one.get("map")
        if held and held["name"] == name:
            return {entry[0] if isinstance(entry, list) else entry for entry in held.get("elem", [])}
    return set()


def traces(config: Config, account: str) -> list[str]:
    """What of the account is in the table."""
    if not there(config):
        return []
    found = objects(config)
    left = [name for name in ("egress", "members", FENCED) if names.veth(account) in elements(found, name)]
    objects_of = {"chain": names.chain, "quota": names.quota, "counter": names.counter}
    for kind, name in ((kind, named(account)) for kind, named in objects_of.items()):
        left += [name for one in found if one.get(kind, {}).get("name") == name]
    return left
