"""Slurm's books as intervals: each job's share of its hours, by arithmetic on recorded rows of sacct."""

import pytest

from providers.host.onsite import slurm, slurm_usage
from providers.host.onsite.buckets import HOUR

CHIPS = {"ascend": "npu", "cambricon": "mlu"}
GIVEN = "billing=2,cpu=2,gres/npu=4,mem=1.50G,node=1"
TEN = slurm_usage.instant("2026-11-23T10:00:00") or 0


def hours(*rows: str, now: int = TEN + 9 * HOUR) -> list[dict[str, int]]:
    """By hour from ten o'clock on."""
    found = slurm_usage.by_hour([slurm_usage.read(row) for row in rows], CHIPS, now)
    assert all(hour >= TEN // HOUR for hour in found)
    return [found.get(hour, {}) for hour in range(TEN // HOUR, max(found, default=TEN // HOUR) + 1)]


def test_a_job_s_seconds_land_in_the_right_hours() -> None:
    """Half an hour in one, all of the next, a quarter of the last."""
    told = hours(f"2026-11-23T10:30:00|2026-11-23T12:15:00|6300|{GIVEN}|COMPLETED")
    assert [one["cpu"] // 1000 for one in told] == [2 * 1_800_000, 2 * 3_600_000, 2 * 900_000]
    assert [one["chip:ascend"] for one in told] == [4 * 1_800_000, 4 * 3_600_000, 4 * 900_000]
    assert [one["memory"] // 1000 for one in told] == [(3 << 29) * seconds for seconds in (1800, 3600, 900)]
    assert [one["chip:cambricon"] for one in told] == [0, 0, 0]


def test_a_job_that_runs_counts_up_to_now() -> None:
    """What is told of an hour that is over stays the same while it runs on."""
    row = f"2026-11-23T10:30:00|Unknown|{{}}|{GIVEN}|RUNNING"
    first = hours(row.format(3599), now=TEN + HOUR + HOUR // 2)
    later = hours(row.format(5399), now=TEN + 2 * HOUR)
    assert first[0] == later[0]
    assert [one["chip:ascend"] for one in later] == [4 * 1_800_000, 4 * 3_600_000]


def test_a_job_that_never_began_used_nothing() -> None:
    """Pending, or cancelled before."""
    assert hours("Unknown|Unknown|0||PENDING", "None|2026-11-23T10:00:01|0||CANCELLED by 0") == [{}]


def test_each_run_of_a_requeued_job_counts() -> None:
    """The books have a row for each."""
    rows = (f"2026-11-23T10:00:00|2026-11-23T10:00:10|10|{GIVEN}|REQUEUED",
            f"2026-11-23T10:00:20|2026-11-23T10:00:25|5|{GIVEN}|CANCELLED by 1000")
    assert hours(*rows)[0]["chip:ascend"] == 4 * 15_000


def test_time_of_suspension_is_not_the_job_s() -> None:
    """Slurm's own elapsed time leaves it out."""
    told = hours(f"2026-11-23T10:00:00|2026-11-23T12:00:00|3600|{GIVEN}|COMPLETED")
    assert sum(one["chip:ascend"] for one in told) == 4 * 3_600_000


@pytest.mark.parametrize(("state", "closed"), [("RUNNING", False), ("PENDING", False), ("COMPLETING", False),
                                               ("CANCELLED by 0", True), ("REQUEUED", True), ("NODE_FAIL", True)])
def test_a_meter_closes_with_the_last_run(state: str, closed: bool) -> None:
    """Before that the books may still change."""
    assert slurm_usage.read(f"2026-11-23T10:00:00|Unknown|1|{GIVEN}|{state}").closed is closed


@pytest.mark.parametrize(("text", "size"), [("100M", 100 << 20), ("1.50G", 3 << 29), ("64", 64 << 20), ("2T", 2 << 40)])
def test_slurm_s_sizes(text: str, size: int) -> None:
    """In the largest unit that fits."""
    assert slurm.memory(text) == size
