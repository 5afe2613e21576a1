"""What metering costs a host: CPU and time of one look at so many accounts, on a real pool, packet filter and cgroups;
a look a few seconds later, and the one that closes an hour.

    python -m tests.bench.meters [--accounts 400]
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from providers.host import files as rendered
from providers.host.onsite import cgroups, config, files, lease, ledger, meters, nft, paths, site, spec, storage
from providers.host.onsite.reaper import LOOK_EVERY
from providers.host.onsite.run import run
from tests.lab import program
from tests.lab.accounts import new_id
from tests.lab.accounts import spec as sizes
from tests.lab.lab import Lab

ROUNDS = 20


def make(at: config.Config, count: int) -> None:
    """Everything that a look reads of so many open accounts; nothing runs in them."""
    site.folders(at)
    nft.base(at)
    tree, counters, now = cgroups.tree(), [], time.time()
    for number in range(count):
        account = spec.parse(sizes(new_id()))
        uid = ledger.uid(at, account.account)
        spec.store(at, spec.Account(account, uid, number + 1))
        lease.write(at, account.account, lease.Lease(now + 3600, 1, "open", 3600.0, now))
        tree.limit(cgroups.path(at, account.account), account)
        run(["btrfs", "qgroup", "create", storage.group(uid), str(at.pool)])
        counters.append(f"add counter inet {at.nft_table} n_{account.account} {{ packets 0 bytes {number}; }}")
    nft.apply("\n".join(counters) + "\n")


def cost(what: str, rounds: int, work: Callable[[], None], before: Callable[[], None] = lambda: None) -> None:
    """One row: CPU with that of nft and btrfs, and time, each the median of some rounds."""
    cpu, took = [], []
    for _ in range(rounds):
        before()
        used, began = _cpu(), time.monotonic()
        work()
        cpu.append(_cpu() - used)
        took.append(time.monotonic() - began)
    share = statistics.median(cpu) / LOOK_EVERY
    print(f"  {what:<34} {statistics.median(cpu) * 1000:6.0f} ms of CPU, {statistics.median(took) * 1000:6.0f} ms   "
          f"(every {LOOK_EVERY:g} s: {share:.1%} of a core)", flush=True)


def _cpu() -> float:
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def inside(path: str, count: int) -> None:
    """At the site, in its network namespace."""
    at = config.load(path)
    make(at, count)
    meters.look(at)

    def an_hour_ago() -> None:
        book = json.loads(paths.meters(at).read_text())
        for row in book["rows"].values():
            row[4] -= 1
        files.write(paths.meters(at), json.dumps(book))

    print(f"{count} accounts, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}", flush=True)
    cost("a look", ROUNDS, lambda: meters.look(at))
    cost("a look that closes an hour", 3, lambda: meters.look(at), an_hour_ago)
    one = spec.listed(at)[0]
    cost("one account's usage, after a look", ROUNDS, lambda: _asked(at, one))
    print(f"  on disk: {paths.meters(at).stat().st_size // 1024} KiB, and an hour of an account "
          f"{paths.hours(at, one).stat().st_size // 3} bytes", flush=True)


def _asked(at: config.Config, account: str) -> None:
    assert meters.usage(at, account, time.time()) != []


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--accounts", type=int, default=400)
    parser.add_argument("--inside", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.inside:
        inside(asked.inside, asked.accounts)
        return
    lab = Lab(f"m{os.getpid()}")
    try:
        place = lab.bare()
        on = program.host(place)
        for folder in rendered.folders(on):
            os.makedirs(folder.path, exist_ok=True)
        Path(rendered.config(on)).write_text(rendered.render_config(on))
        words = [sys.executable, "-m", "tests.bench.meters", "--inside", rendered.config(on)]
        subprocess.run([*place.inside, *words, "--accounts", str(asked.accounts)], check=True, timeout=600)
    finally:
        lab.down()


if __name__ == "__main__":
    main()
