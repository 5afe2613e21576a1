"""Redeemed → usable on the lab, split into accept, owed, Pulumi and site, beside the raw floors; then many at once.

    python -m tests.bench.linux [--count 8] [--many 16]
"""

import argparse
import dataclasses
import os
import resource
import shutil
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeAlias

import httpx
import uvicorn

from orchestrator.app import App
from orchestrator.entry.http.app import create_app
from orchestrator.entry.worker import Worker
from orchestrator.flows.context import SitePool
from providers.protocol import Spec
from providers.registry import connect
from stacks.runner import Stacks
from tests.bench import byhand, timed
from tests.demo import world as stage
from tests.demo.world import World
from tests.drive import Holder
from tests.lab.host import IMAGE
from tests.lab.lab import Lab

Use: TypeAlias = Callable[[Holder], None]
"""What a holder does first."""


def cpu() -> float:
    """CPU seconds of this process and of the children it has waited for."""
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def resident() -> float:
    """MiB of memory that this process has now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / (1 << 20)


def line(name: str, seconds: list[float], note: str = "") -> None:
    """One row: p50, smallest and largest in milliseconds."""
    ordered = sorted(seconds)
    print(f"  {name:<44} p50 {statistics.median(ordered) * 1000:8.0f} ms   {ordered[0] * 1000:7.0f} … "
          f"{ordered[-1] * 1000:7.0f}   {note}", flush=True)


def one_by_one(world: World, notes: timed.Notes, count: int, use: Use) -> list[str]:
    """Redeem, claim, log in, start a container: one account at a time."""
    rows: dict[str, list[float]] = {name: [] for name in ("all", "accept", "owed", "pulumi", "site", "login")}
    made = []
    for number in range(count):
        code, holder = world.voucher("rental"), world.holder(f"bench{number}")
        began = time.monotonic()
        accepted = world.redeem(code, "rental")
        at_202 = time.monotonic()
        world.tenure.wait(accepted["account"], {"ACTIVE"}, world.token, within=60)
        holder.claim(accepted["claim_url"])
        claimed = time.monotonic()
        use(holder)
        done = time.monotonic()
        site, stack = notes.busy("site", began), notes.busy("stack", began)
        inside = notes.busy("site", notes.first("stack", began))
        rows["all"].append(done - began)
        rows["accept"].append(at_202 - began)
        rows["owed"].append(notes.first("site", began) - at_202)
        rows["pulumi"].append(max(0.0, stack - inside))
        rows["site"].append(site)
        rows["login"].append(done - claimed)
        made.append(accepted["account"])
    line("redeemed → first output", rows["all"])
    for name, what in (("accept", "of it: accept (POST → 202)"), ("owed", "of it: owed (202 → first site call)"),
                       ("pulumi", "of it: Pulumi, without the site's calls"), ("site", "of it: the site's calls"),
                       ("login", "of it: ssh login and the first output")):
        line(what, rows[name])
    return made


def _container(holder: Holder) -> None:
    ran = holder.ssh("container", "run", IMAGE, "echo", "up")
    assert ran.stdout.strip() == b"up", ran.stderr.decode()


def end_one_by_one(world: World, notes: timed.Notes, accounts: list[str]) -> None:
    """Fence and reclaim accounts one at a time, each asked for at the operators' API."""
    fenced, gone = [], []
    since = time.monotonic()
    for account in accounts:
        began = time.monotonic()
        ask(world, account, "fence")
        fenced.append(time.monotonic() - began)
    for account in accounts:
        began = time.monotonic()
        ask(world, account, "reclaim")
        world.tenure.wait(account, {"RECLAIMED"}, world.token, within=120)
        gone.append(time.monotonic() - began)
    line("fence, asked → done", fenced)
    line("of it: the site's call", notes.each("fence", since))
    line("reclaim, asked → RECLAIMED with its proof", gone)


def ask(world: World, account: str, act: str) -> None:
    """One act of an operator's."""
    httpx.post(f"{world.tenure.url}/v1/accounts/{account}/{act}", json={"why": "bench"}, timeout=30,
               headers={"authorization": f"Bearer {world.token}"}).raise_for_status()


def many(world: World, count: int) -> list[str]:
    """Redeem so many at once; accounts a second until all are ACTIVE, with the CPU of each."""
    codes = [world.voucher("rental") for _ in range(count)]
    used, began = cpu(), time.monotonic()
    accounts = [world.redeem(code, "rental")["account"] for code in codes]
    for account in accounts:
        world.tenure.wait(account, {"ACTIVE"}, world.token, within=300)
    took = time.monotonic() - began
    print(f"  provisions, {count} owed at once{'':<17} {count / took:5.2f} a second   "
          f"{(cpu() - used) / count:5.2f} CPU s each", flush=True)
    return accounts


def take_back(world: World, accounts: list[str]) -> None:
    """Ask for all accounts back at once; reclaims a second with the CPU of each."""
    used, began = cpu(), time.monotonic()
    for account in accounts:
        ask(world, account, "reclaim")
    for account in accounts:
        world.tenure.wait(account, {"RECLAIMED"}, world.token, within=600)
    took = time.monotonic() - began
    print(f"  reclaims, {len(accounts)} owed at once{'':<19} {len(accounts) / took:5.2f} a second   "
          f"{(cpu() - used) / len(accounts):5.2f} CPU s each", flush=True)


def pulumi_alone(count: int) -> list[float]:
    """`pulumi up` of a new account's five resources at a site that answers at once."""
    spec = Spec("", 1, 1000, 1 << 28, 128, 1 << 26, 10**7, 1 << 30)
    took = []
    with tempfile.TemporaryDirectory() as folder, Stacks(None, Path(folder), "floor") as alone:
        for number in range(count + 1):
            site = connect("memory", "floor", {}, {})
            mine = dataclasses.replace(spec, account=f"afloor{'abcdefghijklmnopqrstuvwxyz'[number]}aaa")
            site.arm(mine, datetime.now(UTC) + timedelta(hours=1), 1)
            began = time.monotonic()
            alone.up(mine.account, mine, site)
            took.append(time.monotonic() - began)
    return took[1:]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=8)
    parser.add_argument("--many", type=int, default=16)
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="tenure-bench-"))
    print("The Linux site in the lab")
    lab = Lab("bench")
    place = lab.bare()
    lab.start_sshd()
    for act, seconds in byhand.accounts(place, options.count).items():
        line(f"floor: {act} by hand, one SSH exec", seconds)
    line("floor: pulumi up alone", pulumi_alone(options.count))
    world = stage.build(folder, lab, stage.OFFERS, serve=False)
    try:
        run(world, options.count, options.many)
    finally:
        lab.down()
        shutil.rmtree(folder)


def run(world: World, count: int, at_once: int, use: Use = _container) -> None:
    """Tenure in this process, so that its own time can be told from the site's."""
    notes = timed.Notes()
    with App.open(world.tenure.home) as app:
        site = app.ctx.sites.get(world.place.name)
        ctx = dataclasses.replace(app.ctx, sites=SitePool(lambda name: timed.site(site, notes)),
                                  stacks=timed.stacks(app.ctx.stacks, notes))
        server = uvicorn.Server(uvicorn.Config(create_app(ctx), port=world.tenure.port, log_config=None,
                                               access_log=False))
        doors = threading.Thread(target=server.run, daemon=True)
        with Worker(ctx):
            doors.start()
            while not server.started:
                time.sleep(0.01)
            made = one_by_one(world, notes, count, use)
            end_one_by_one(world, notes, made)
            made = many(world, at_once)
            print(f"  memory of doors and worker{'':<26} {resident():5.0f} MiB", flush=True)
            take_back(world, made)
            server.should_exit = True
            doors.join(10)


if __name__ == "__main__":
    main()
