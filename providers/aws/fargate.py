"""What Fargate can be asked for: vCPUs in steps, and for each step a span of memory."""

from collections.abc import Mapping
from dataclasses import dataclass

from providers.protocol import NeedsHuman, Spec

MIB = 1 << 20
SIZES: Mapping[int, tuple[int, ...]] = {
    250: (512, 1024, 2048),
    500: tuple(range(1024, 4097, 1024)),
    1000: tuple(range(2048, 8193, 1024)),
    2000: tuple(range(4096, 16385, 1024)),
    4000: tuple(range(8192, 30721, 1024)),
    8000: tuple(range(16384, 61441, 4096)),
    16000: tuple(range(32768, 122881, 8192)),
}
"""Thousandths of a vCPU to MiB, from the table of AWS's documentation for Fargate tasks on Linux."""


@dataclass(frozen=True, slots=True)
class Size:
    """One job: as Batch writes it."""

    vcpu: str
    memory: str


def quota(spec: Spec) -> int:
    """`maxvCpus` of the account: whole vCPUs, never less than the offer's CPU nor than one."""
    return max(1, -(-spec.cpu_milli // 1000))


def job(spec: Spec) -> Size:
    """The size of one container when the offer's are all running: the next that Fargate has, not below the share."""
    cpu, memory = spec.cpu_milli / spec.containers, spec.memory / MIB / spec.containers
    for milli, memories in SIZES.items():
        if milli >= cpu and memories[-1] >= memory:
            return Size(f"{milli / 1000:g}", str(next(one for one in memories if one >= memory)))
    raise NeedsHuman(f"account {spec.account}: no size of Fargate has {cpu:g} m of CPU and {memory:g} MiB for a job",
                     remedy="offer less for one container, or let this offer go to another kind of site")


def fits(spec: Spec) -> None:
    """NeedsHuman when this kind of site can never give what is asked for."""
    for what, asked in (("accelerators", sorted(spec.accelerators)), ("model folders", list(spec.models))):
        if asked:
            raise NeedsHuman(f"account {spec.account}: Batch on Fargate has no {what} ({', '.join(asked)})",
                             remedy="let this offer go to another kind of site (`at:` of the offer)")
    job(spec)
