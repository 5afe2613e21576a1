"""Redeemed → usable, fence and reclaim through the whole of Tenure at an emulator of AWS, beside the same account by
raw boto3; and what one account costs in calls. Its seconds are not AWS's, its calls are.

    python -m tests.bench.aws [--count 5] [--many 8]
"""

import argparse
import configparser
import os
import shutil
import statistics
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import boto3
import yaml

from providers.aws.containers import MOST
from providers.aws.edge import Aws
from providers.aws.settings import parse
from providers.aws.site import AwsSite
from providers.protocol import PARTS, Spec, only
from tests.bench import awsbyhand, linux
from tests.demo.world import World
from tests.drive import Holder, Tenure
from tests.lab.lab import Lab
from tests.lab.moto import KEYS, Moto, moto
from tests.lab.place import Place
from tests.lab.tenured import offer_document
from tests.providers.keys import make_key
from tests.providers.specs import spec

SITE = "cloud-1"
HOUR = timedelta(hours=1)
IMAGE = "public.ecr.aws/docker/library/busybox:1"


class Counted(Aws):
    """AWS, with each call counted."""

    calls: Counter[str] = Counter()

    def call(self, service: str, operation: str, /, **arguments: Any) -> dict[str, Any]:
        self.calls[service] += 1
        return super().call(service, operation, **arguments)

    def all(self, service: str, operation: str, key: str, /, **arguments: Any) -> list[Any]:
        self.calls[service] += 1
        return super().all(service, operation, key, **arguments)


class CloudHolder(Holder):
    """Keeps the sealed session of the claim, as its file."""

    def claim(self, url: str) -> dict[str, Any]:
        got = super().claim(url)
        (self.folder / "session.age").write_text(got["sealed"])
        return got


@dataclass
class Cloud(World):
    """The stage without a lab of its own: a region of the emulator."""

    def holder(self, name: str) -> Holder:
        return CloudHolder(self.tenure.home.parent / "holders" / name)


def build(folder: Path, server: Moto) -> Cloud:
    """Tenure with a site prepared at the emulator, by its own commands; boto3 finds its credentials, as ever."""
    os.environ |= {"AWS_ACCESS_KEY_ID": KEYS["access_key_id"], "AWS_SECRET_ACCESS_KEY": KEYS["secret_access_key"]}
    world = Cloud(Lab(SITE), Place(SITE, 0, folder), Tenure(folder / "home"))
    world.tenure.init()
    offer = offer_document("rental", 24 * HOUR, images=[IMAGE], models=[], grace="1h")
    document = folder / "site.yaml"
    document.write_text(yaml.safe_dump({"offers": [offer], "sites": [{
        "name": SITE, "kind": "aws", "tier": "hub", "settings": server.settings(),
        "places": [{"offer": "rental", "count": MOST}]}]}))
    world.tenure.cli("apply", "-f", str(document))
    world.tenure.cli("site", "prepare", SITE, "--yes")
    world.secret = world.tenure.cli("sender", "add", "portal")["secret"]
    world.token = world.tenure.cli("token", "add", "--role", "admin", "--name", "bench")["token"]
    return world


def submit(server: Moto, holder: Holder) -> None:
    """Open the session with the holder's key and submit a job with it, as the session's own text says."""
    text = subprocess.run(["age", "-d", "-i", str(holder.key), str(holder.folder / "session.age")], capture_output=True,
                          check=True, timeout=20).stdout.decode()
    profiles = configparser.ConfigParser()
    profiles.read_string(text)
    profile = profiles.sections()[0]
    keys, name = profiles[profile], profile.replace("tenure-", "tn-")
    batch = boto3.client("batch", region_name=keys["region"], endpoint_url=server.url,
                         aws_access_key_id=keys["aws_access_key_id"], aws_session_token=keys["aws_session_token"],
                         aws_secret_access_key=keys["aws_secret_access_key"])
    assert batch.submit_job(jobName="first", jobQueue=name, jobDefinition=f"{name}-0")["jobId"]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=5)
    parser.add_argument("--many", type=int, default=8)
    options = parser.parse_args()
    print("AWS's emulator on this machine: seconds are Tenure's and its own, calls are what AWS would be asked.\n"
          "The first output is here a job submitted with the claimed session, opened by `age`; no job runs.")
    folder = Path(tempfile.mkdtemp(prefix="tenure-bench-"))
    try:
        with moto() as server:
            server.run_no_job()
            site_alone(server, options.count)
            world = build(folder, server)
            for act, seconds in awsbyhand.accounts(server, options.count).items():
                linux.line(f"floor: {act} by hand, raw boto3", seconds)
            linux.run(world, options.count, options.many, partial(submit, server))
    finally:
        shutil.rmtree(folder)


def site_alone(server: Moto, count: int) -> None:
    """The site's own calls, counted, without Tenure."""
    with closing(AwsSite(Counted(parse("bench", server.settings(vpc_cidr="10.80.0.0/16")), KEYS))) as site:
        site.prepare(dry_run=False)
        client, floor = server.client("sts"), []
        for _ in range(count):
            began = time.monotonic()
            client.get_caller_identity()
            floor.append(time.monotonic() - began)
        _line("floor: one raw boto3 call", floor, 1, "")
        rows: dict[str, list[tuple[float, int, str]]] = {}
        for _ in range(count):
            _account(site, rows)
        for name, seen in rows.items():
            _line(name, [seconds for seconds, _, _ in seen], round(statistics.median(calls for _, calls, _ in seen)),
                  seen[-1][2])
        site.unprepare(dry_run=False)


def _account(site: AwsSite, rows: dict[str, list[tuple[float, int, str]]]) -> None:
    """One account's life, each step timed and its calls counted."""
    one: Spec = replace(spec(), images=(IMAGE,))
    key = make_key().public
    steps: dict[str, Callable[[], object]] = {
        "arm: its end first": lambda: site.arm(one, site.now() + HOUR, 1),
        "the five parts": lambda: [site.parts[part].ensure(one) for part in PARTS],
        "open": lambda: site.open(one, HOUR, 2),
        "claim: a sealed session": lambda: site.issue(one, key, site.now() + HOUR),
        "arm: move the end": lambda: site.arm(one, site.now() + 2 * HOUR, 3),
        "fence": lambda: site.fence([(one.account, 4)], "end"),
        "reclaim: destroy, clean": lambda: _reclaim(site, one),
        "leftovers: shown empty": lambda: site.leftovers(one.account),
    }
    for name, act in steps.items():
        before, began = Counter(Counted.calls), time.monotonic()
        act()
        took, made = time.monotonic() - began, Counted.calls - before
        rows.setdefault(name, []).append((took, made.total(), " ".join(f"{k}:{v}" for k, v in sorted(made.items()))))
    assert site.leftovers(one.account) == []


def _reclaim(site: AwsSite, one: Spec) -> None:
    for part in reversed(PARTS):
        site.parts[part].remove(one)
    only(site.clean([(one.account, 5)]))


def _line(name: str, seconds: list[float], calls: int, where: str) -> None:
    print(f"  {name:<28} p50 {statistics.median(seconds) * 1000:7.0f} ms   {calls:3d} calls   {where}", flush=True)


if __name__ == "__main__":
    main()
