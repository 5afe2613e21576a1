"""A site of each kind that this machine can show, for the suite that every kind must pass."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from providers.memory.site import connect as connect_memory
from providers.memory.world import forget
from providers.registry import connect
from tests.lab.host import IMAGE
from tests.lab.lab import Lab
from tests.lab.moto import moto
from tests.lab.place import Place
from tests.lab.program import MODEL, described
from tests.lab.slurm import SlurmLab
from tests.providers import shown_aws
from tests.providers.aws_between import Between
from tests.providers.keys import make_key
from tests.providers.shown import Shown
from tests.providers.shown_hosts import ShownCluster, ShownHost
from tests.providers.shown_memory import ShownMemory


@contextmanager
def memory() -> Iterator[Shown]:
    forget("every")
    yield ShownMemory("memory", connect_memory("every", {}, {}), ("localhost/any:1",), ("any",))
    forget("every")


@contextmanager
def linux() -> Iterator[Shown]:
    with on_lab("linux", Lab(f"s{os.getpid()}"), ShownHost) as shown:
        yield shown


@contextmanager
def slurm() -> Iterator[Shown]:
    """A cluster of one node."""
    with on_lab("slurm", SlurmLab(f"sl{os.getpid()}"), ShownCluster) as shown:
        yield shown


@contextmanager
def on_lab(kind: str, lab: Lab, shown: type[ShownHost]) -> Iterator[Shown]:
    """A prepared site on a lab of its own, taken down afterwards."""
    try:
        place = lab.up()
        settings, secrets = lab_access(place)
        with closing(connect(kind, place.name, settings, secrets)) as site, tempfile.TemporaryDirectory() as folder:
            site.prepare(dry_run=False)
            yield shown(kind, site, (IMAGE,), (MODEL,), place=place, folder=Path(folder))
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
def aws() -> Iterator[Shown]:
    """A prepared site at AWS's emulator."""
    between = Between()
    with moto() as server, closing(between.site(server, "every")) as site:
        site.prepare(dry_run=False)
        yield shown_aws.ShownAws("aws", site, (shown_aws.IMAGE,), server=server, between=between)


KINDS = {"memory": memory, "linux": linux, "slurm": slurm, "aws": aws}
