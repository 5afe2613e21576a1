"""What AWS's own records of jobs and volumes come to by clock hour."""

from datetime import UTC, datetime, timedelta
from typing import Any

from providers.aws import usage
from providers.aws.storage import GIB
from providers.protocol import CPU, MEMORY, STORAGE

TEN = datetime(2026, 11, 23, 10, tzinfo=UTC)
HOUR = timedelta(hours=1)
NOW = TEN + 3 * HOUR


def job(started: datetime | None, stopped: datetime | None) -> dict[str, Any]:
    """As `describe_jobs` shows one of two vCPUs and 4 GiB."""
    wants = [{"type": "VCPU", "value": "2.0"}, {"type": "MEMORY", "value": "4096"}]
    shown: dict[str, Any] = {"jobId": "j", "container": {"resourceRequirements": wants}}
    times = {"startedAt": started, "stoppedAt": stopped}
    return shown | {name: int(at.timestamp() * 1000) for name, at in times.items() if at is not None}


def by_hour(*jobs: dict[str, Any], now: datetime = NOW) -> list[dict[str, int]]:
    held = {CPU: [span for one in jobs for span in usage.ran(one, usage.vcpus(one), now)],
            MEMORY: [span for one in jobs for span in usage.ran(one, usage.memory(one), now)], STORAGE: None}
    return [usage.amounts(held, TEN + number * HOUR, TEN + (number + 1) * HOUR, now) for number in range(3)]


def test_a_job_counts_in_the_hours_in_which_it_ran() -> None:
    """vCPUs and memory times the time in each."""
    told = by_hour(job(TEN + HOUR / 2, TEN + 2.25 * HOUR))
    assert [one[CPU] for one in told] == [2 * 1_800_000, 2 * 3_600_000, 2 * 900_000]
    assert [one[MEMORY] for one in told] == [4 * GIB * 1800, 4 * GIB * 3600, 4 * GIB * 900]


def test_a_job_that_runs_counts_up_to_now() -> None:
    """And one that has not begun does not."""
    told = by_hour(job(TEN + 2.5 * HOUR, None), job(None, None))
    assert [one[CPU] for one in told] == [0, 0, 2 * 1_800_000]


def test_what_batch_has_forgotten_is_a_gap() -> None:
    """Hours that ended over a day ago have no CPU and no memory, not zero."""
    assert by_hour(job(TEN, TEN + HOUR), now=TEN + timedelta(days=2)) == [{}, {}, {}]


def test_a_volume_that_grew_was_smaller_before() -> None:
    """An hour that is over keeps what it came to."""
    volume = {"VolumeId": "v", "CreateTime": TEN, "Size": 30}
    change = {"StartTime": TEN + HOUR, "OriginalSize": 10, "TargetSize": 30, "ModificationState": "completed"}
    before = usage.sizes(volume | {"Size": 10}, None, NOW)
    after = usage.sizes(volume, change, NOW)
    hours = [(TEN, TEN + HOUR), (TEN + HOUR, TEN + 2 * HOUR)]
    assert [usage.amounts({STORAGE: before}, *hour, NOW)[STORAGE] for hour in hours] == [10 * GIB * 3600] * 2
    assert [usage.amounts({STORAGE: after}, *hour, NOW)[STORAGE] for hour in hours] == [10 * GIB * 3600,
                                                                                      30 * GIB * 3600]


def test_a_change_of_size_that_failed_is_none() -> None:
    """The volume is what it was."""
    volume = {"VolumeId": "v", "CreateTime": TEN, "Size": 10}
    change = {"StartTime": TEN + HOUR, "OriginalSize": 10, "TargetSize": 30, "ModificationState": "failed"}
    assert usage.sizes(volume, change, NOW) == [(TEN, NOW, 10 * GIB)]
