"""Hundreds that end at once: what one of them costs does not grow with how many they are."""

import time
from pathlib import Path

from providers.host.onsite import processes, rescue
from tests.lab.accounts import new_id
from tests.providers import onsite_world


def cost(folder: Path, count: int) -> float:
    """CPU seconds of killing what runs in so many accounts, which is nothing; the least of three."""
    config = onsite_world.make(folder / str(count))
    accounts = dict.fromkeys([new_id() for _ in range(count)])
    spared = rescue.spared(config, list(accounts))
    took = []
    for _ in range(3):
        began = time.process_time()
        processes.freeze_and_kill(config, accounts, spared)
        took.append(time.process_time() - began)
    return min(took)


def test_killing_many_costs_each_no_more_than_killing_few(tmp_path: Path) -> None:
    """Eight times as many take about eight times as long, and far from sixty-four times."""
    for count in (50, 400):
        (tmp_path / str(count)).mkdir()
    assert cost(tmp_path, 400) < 24 * cost(tmp_path, 50)
