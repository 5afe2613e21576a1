"""A site of each kind that this machine can show, for the suite that every kind must pass."""

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass

from providers.memory.world import forget
from providers.protocol import Site
from providers.registry import connect
from tests.lab.host import IMAGE
from tests.lab.lab import Lab
from tests.lab.moto import KEYS, moto
from tests.lab.place import Place
from tests.lab.program import MODEL, described
from tests.lab.slurm import SlurmLab
from tests.providers.keys import make_key


@dataclass(frozen=True)
class Shown:
    """A site, and what its offers may name there."""

    site: Site
    images: tuple[str, ...] = ()
    models: tuple[str, ...] = ()


@contextmanager
def memory() -> Iterator[Shown]:
    forget("every")
    yield Shown(connect("memory", "every", {}, {}), ("localhost/any:1",), ("any",))
    forget("every")


@contextmanager
def linux() -> Iterator[Shown]:
    """A prepared site on a lab of its own, taken down afterwards."""
    lab = Lab(f"s{os.getpid()}")
    try:
        place = lab.up()
        settings, secrets = lab_access(place)
        with closing(connect("linux", place.name, settings, secrets)) as site:
            site.prepare(dry_run=False)
            yield Shown(site, (IMAGE,), (MODEL,))
    finally:
        lab.down()


def lab_access(place: Place) -> tuple[dict[str, object], dict[str, str]]:
    """A lab as `connect` wants it; root's key there is the bootstrap login."""
    settings = described(place)
    secrets = {
        "operator_key": make_key().private,
        "ca_key": make_key().private,
        "bootstrap_key": place.path("keys/root").read_text(),
    }
    return settings, secrets


@contextmanager
def slurm() -> Iterator[Shown]:
    """A prepared cluster of one node on a lab of its own, taken down afterwards."""
    lab = SlurmLab(f"sl{os.getpid()}")
    try:
        place = lab.up()
        settings, secrets = lab_access(place)
        with closing(connect("slurm", place.name, settings, secrets)) as site:
            site.prepare(dry_run=False)
            yield Shown(site, (IMAGE,), (MODEL,))
    finally:
        lab.down()


@contextmanager
def aws() -> Iterator[Shown]:
    """A prepared site at AWS's emulator."""
    with moto() as server, closing(connect("aws", "every", server.settings(), KEYS)) as site:
        site.prepare(dry_run=False)
        yield Shown(site, ("public.ecr.aws/docker/library/busybox:1",))


KINDS = {"memory": memory, "linux": linux, "slurm": slurm, "aws": aws}
