"""The network part on a Slurm site: a host's, and jobs too. They run in the host's own namespace, so what they send is
known by uid, marked on the connection (a closed socket's last packets have no uid any more), and counted and cut
together with the logins' egress."""

import json
from typing import Any

from . import ledger, network, nft
from .config import Config
from .errors import Later
from .names import chain
from .run import run
from .spec import Account

BASE = """
add map inet {table} jobs {{ type mark : verdict; }}
add map inet {table} jobmarks {{ type uid : mark; }}
add chain inet {table} jobsout {{ type filter hook output priority filter - 9; policy accept; }}
flush chain inet {table} jobsout
add rule inet {table} jobsout oifname != "lo" ct mark set meta skuid map @jobmarks
add rule inet {table} jobsout oifname != "lo" ct mark vmap @jobs
"""


def observe(config: Config, account: Account) -> dict[str, Any] | None:
    """A host's facts; None while jobs are not counted."""
    seen = network.observe(config, account)
    return seen if seen is not None and counted(config, account.uid) else None


def ensure(config: Config, account: Account) -> dict[str, Any]:
    seen = network.ensure(config, account)
    if not counted(config, account.uid):
        table, uid = config.nft_table, account.uid
        elements = f"add element inet {table} jobs {{ {uid} : jump {chain(account.id)} }}\n"
        elements += f"add element inet {table} jobmarks {{ {uid} : {uid} }}\n"
        nft.apply(BASE.format(table=table) + elements)
        if not counted(config, uid):
            raise Later(f"network of {account.id}: the count of its jobs reads back as missing")
    return seen


def remove(config: Config, account: str) -> None:
    """The jobs' elements first: the chain that they lead to is then free to go."""
    uid = ledger.entries(config).get(account)
    if uid is not None:
        for name in traces(config, account):
            run(["nft", "delete", "element", "inet", config.nft_table, name, f"{{ {uid} }}"], check=False)
    if left := traces(config, account):
        raise Later(f"network of {account}: still in nft: {', '.join(left)}")
    network.remove(config, account)


def counted(config: Config, uid: int) -> bool:
    return len(maps_with(config, uid)) == 2


def traces(config: Config, account: str) -> list[str]:
    """In which of the maps the account's jobs are."""
    uid = ledger.entries(config).get(account)
    return [] if uid is None else maps_with(config, uid)


def maps_with(config: Config, uid: int) -> list[str]:
    """The maps that name this uid; a map that is not there names nobody. Later when nft does not say."""
    found = []
    for name in ("jobs", "jobmarks"):
        ran = run(["nft", "--json", "--numeric", "list", "map", "inet", config.nft_table, name], check=False)
        if ran.code != 0 and nft.MISSING not in ran.err:
            raise Later(f"nft list map {name}: {ran.said}")
        rows = json.loads(ran.out)["nftables"] if ran.code == 0 else []
        held: list[Any] = next((row["map"].get("elem", []) for row in rows if "map" in row), [])
        found += [name] if any(int(entry[0]) == uid for entry in held) else []
    return found
