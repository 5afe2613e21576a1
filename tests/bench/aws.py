"""What one account costs at AWS, in calls and seconds, at an emulator: its seconds are not AWS's, its calls are.

    python -m tests.bench.aws [--count 5]
"""

import argparse
import statistics
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from typing import Any

from providers.aws.edge import Aws
from providers.aws.settings import parse
from providers.aws.site import AwsSite
from providers.protocol import PARTS, Spec, only
from tests.lab.moto import KEYS, moto
from tests.providers.keys import make_key
from tests.providers.specs import spec

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


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=5)
    count = parser.parse_args().count
    print("AWS's emulator on this machine: seconds are the emulator's, calls are what AWS would be asked")
    with moto() as server, closing(AwsSite(Counted(parse("bench", server.settings()), KEYS))) as site:
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
