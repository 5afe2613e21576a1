"""What an account used at AWS, by clock hour: from the times that Batch keeps of each job, and from its volumes' sizes.
A volume is paid by its size, so that is what is metered, however full it is.

Batch forgets a job some time after its end, at least a day: hours that ended earlier have no CPU and memory. Bytes sent
AWS does not tell per account. Both are missing from the answer, as gaps.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from providers.aws.containers import Containers
from providers.aws.edge import Aws
from providers.aws.lease import Lease, instant
from providers.aws.storage import GIB, Storage
from providers.metering import hour, hours
from providers.protocol import CPU, MEMORY, STORAGE, Usage

RAN = ("RUNNING", "SUCCEEDED", "FAILED")
KEPT = timedelta(days=1)
AT_ONCE = 100
MILLI = timedelta(milliseconds=1)

Span = tuple[datetime, datetime, int]
"""From when until when how much was held: thousandths of a core, or bytes."""


def intervals(aws: Aws, containers: Containers, storage: Storage, known: Lease, since: datetime,
              now: datetime) -> list[Usage]:
    """From the hour that holds `since`, or from the opening, up to now."""
    if known.starts_at is None:
        return []
    jobs = described(aws, containers, known.account) if containers.look(known.account) is not None else None
    volumes = storage.volumes(known.account)
    held: dict[str, list[Span] | None] = {
        CPU: None if jobs is None else [span for job in jobs for span in ran(job, vcpus(job), now)],
        MEMORY: None if jobs is None else [span for job in jobs for span in ran(job, memory(job), now)],
        STORAGE: [span for one in volumes for span in sizes(one, grown(aws, one), now)] if volumes else None}
    begun = max(hour(since), instant(known.starts_at))
    return [Usage(start, end, end - start, amounts(held, start, end, now)) for start, end in hours(begun, now)]


def amounts(held: Mapping[str, Sequence[Span] | None], start: datetime, end: datetime, now: datetime) -> dict[str, int]:
    """What these spans come to in one interval."""
    forgotten = {CPU, MEMORY} if end < now - KEPT else set()
    return {meter: sum(size * (max(timedelta(), min(over, end) - max(begun, start)) // MILLI)
                       for begun, over, size in spans) // 1000
            for meter, spans in held.items() if spans is not None and meter not in forgotten}


def described(aws: Aws, containers: Containers, account: str) -> list[dict[str, Any]]:
    """Each of the account's jobs that ever ran, as far as Batch remembers."""
    ids = list({str(job["jobId"]): None for job in containers.jobs(account, RAN)})
    chunks = (ids[start:start + AT_ONCE] for start in range(0, len(ids), AT_ONCE))
    return [job for chunk in chunks for job in aws.call("batch", "describe_jobs", jobs=chunk)["jobs"]]


def ran(job: Mapping[str, Any], size: int, now: datetime) -> Iterable[Span]:
    begun, over = _at(job.get("startedAt")), _at(job.get("stoppedAt"))
    return [] if begun is None else [(begun, over or now, size)]


def grown(aws: Aws, volume: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The last time that the volume was made larger; AWS tells of no earlier one."""
    which = [{"Name": "volume-id", "Values": [volume["VolumeId"]]}]
    found = aws.all("ec2", "describe_volumes_modifications", "VolumesModifications", Filters=which)
    return found[-1] if found else None


def sizes(volume: Mapping[str, Any], change: Mapping[str, Any] | None, now: datetime) -> list[Span]:
    """What the volume holds ready, before and after its last change."""
    made = volume["CreateTime"]
    if change is None or change["ModificationState"] == "failed":
        return [(made, now, volume["Size"] * GIB)]
    at = max(made, change["StartTime"])
    return [(made, at, change["OriginalSize"] * GIB), (at, now, change["TargetSize"] * GIB)]


def vcpus(job: Mapping[str, Any]) -> int:
    """Thousandths of a core."""
    return round(float(_wanted(job, "VCPU")) * 1000)


def memory(job: Mapping[str, Any]) -> int:
    """Bytes; Batch says MiB."""
    return int(_wanted(job, "MEMORY")) << 20


def _wanted(job: Mapping[str, Any], kind: str) -> str:
    wants = job.get("container", {}).get("resourceRequirements", [])
    return next((str(one["value"]) for one in wants if one["type"] == kind), "0")


def _at(milliseconds: object) -> datetime | None:
    return datetime.fromtimestamp(float(str(milliseconds)) / 1000, UTC) if milliseconds else None
