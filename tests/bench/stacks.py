"""What Pulumi costs an account, at a site that costs nothing: `python -m tests.bench.stacks [TIMES]`.

The floor is the CLI saying its version, and `stack init`, which an `up` in files does without.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from providers.memory.site import MemorySite, connect
from providers.protocol import Spec
from stacks import cli
from stacks.runner import Stacks
from tests.providers import specs

AT_ONCE = 4


def measured(times: int) -> dict[str, float]:
    """Median seconds of each operation."""
    site = connect("bench", {}, {})
    with tempfile.TemporaryDirectory() as home, Stacks(None, Path(home), "bench", at_once=AT_ONCE) as stacks:
        seconds: dict[str, list[float]] = {}
        for _ in range(times):
            one_life(stacks, site, seconds)
        each = {what: statistics.median(all_of_it) for what, all_of_it in seconds.items()}
        return floor(times) | each | {f"up of a new stack, {AT_ONCE} at once, each": together(stacks, site, times)}


def one_life(stacks: Stacks, site: MemorySite, seconds: dict[str, list[float]]) -> None:
    """A stack from its first `up` to its removal."""
    spec = armed(site)
    greater = replace(spec, storage=spec.storage * 2)
    account = spec.account
    steps: list[tuple[str, Callable[[], object]]] = [
        ("up of a new stack", lambda: stacks.up(account, spec, site)),
        ("up, nothing changed", lambda: stacks.up(account, spec, site)),
        ("preview with refresh", lambda: stacks.preview(account, greater, site)),
        ("refresh", lambda: stacks.refresh(account, spec, site)),
        ("up, one limit changed", lambda: stacks.up(account, greater, site)),
        ("destroy", lambda: stacks.destroy(account, spec, site)),
        ("remove", lambda: stacks.remove(account)),
    ]
    for what, act in steps:
        seconds.setdefault(what, []).append(timed(act))


def together(stacks: Stacks, site: MemorySite, times: int) -> float:
    """Wall-clock seconds an account when several are made at once."""
    many = [armed(site) for _ in range(AT_ONCE * times)]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return timed(lambda: list(pool.map(lambda spec: stacks.up(spec.account, spec, site), many))) / len(many)


def floor(times: int) -> dict[str, float]:
    """The CLI by itself."""
    binary = str(cli.required())
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "Pulumi.yaml").write_text("name: floor\nruntime: python\n")
        environment = os.environ | {
            "PULUMI_HOME": folder,
            "PULUMI_BACKEND_URL": f"file://{folder}",
            "PULUMI_CONFIG_PASSPHRASE": "bench",
            "PULUMI_SKIP_UPDATE_CHECK": "true",
        }

        def by_hand(*words: str) -> float:
            argv = [binary, "--non-interactive", *words]
            return timed(lambda: subprocess.run(argv, cwd=folder, env=environment, capture_output=True, check=True))

        return {
            "floor: pulumi version": statistics.median(by_hand("version") for _ in range(times)),
            "floor: pulumi stack init": statistics.median(by_hand("stack", "init", f"s{i}") for i in range(times)),
        }


def armed(site: MemorySite) -> Spec:
    spec = specs.spec()
    site.arm(spec, datetime.now(UTC) + timedelta(hours=1), generation=1)
    return spec


def timed(act: Callable[[], object]) -> float:
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


if __name__ == "__main__":
    for name, median in measured(int(sys.argv[1]) if len(sys.argv) > 1 else 9).items():
        print(f"{name:40} {median:6.3f} s")
