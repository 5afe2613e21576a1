"""One installation of Tenure, prepared on one lab by its own commands, for all tests of the whole."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.demo import world as stage
from tests.demo.world import World
from tests.drive import Holder
from tests.lab.lab import Lab
from tests.lab.place import Unfit, base
from tests.lab.tenured import offer_document

BRIEF = timedelta(seconds=12)
LONG = timedelta(hours=2)
OFFERS = [
    offer_document("brief", BRIEF, grace="1s"),
    offer_document("converted", timedelta(seconds=30), grace="1s"),
    offer_document("fetched", timedelta(seconds=8), grace="20s"),
    offer_document("graceful", timedelta(seconds=8), grace="1h"),
    offer_document("lasting", LONG, grace="1h"),
    offer_document("larger", LONG, storage="96MiB", network={"rate": "50Mbit/s", "egress": "1GiB"}, grace="1s"),
]


@dataclass
class Tenancy:
    """An account that is usable, and its holder."""

    id: str
    holder: Holder
    claim_url: str
    seen: dict[str, Any]

    @property
    def user(self) -> str:
        return f"tn-{self.id}"


@pytest.fixture(scope="session")
def installed() -> Iterator[World]:
    """Lab and home; the server is not started."""
    with installation(Lab(f"w{os.getpid()}"), OFFERS) as made:
        yield made


@contextmanager
def installation(lab: Lab, offers: list[dict[str, Any]]) -> Iterator[World]:
    """Tenure on a lab, both gone afterwards. The home is no place where the site is searched for leftovers."""
    folder = base().parent / f"tenure-{lab.name}"
    made = None
    try:
        made = stage.build(folder, lab, offers, serve=False)
        yield made
    except Unfit as unfit:
        pytest.fail(str(unfit), pytrace=False)
    finally:
        if made is not None:
            made.tenure.kill()
            made.lab.down()
            shutil.rmtree(folder)


@pytest.fixture
def world(installed: World) -> Iterator[World]:
    """Served for one test; whatever the test did to the server, the next one gets a new one."""
    installed.tenure.serve()
    yield installed
    installed.tenure.kill()


@pytest.fixture
def tenancy(world: World, tmp_path: Path) -> Callable[..., Tenancy]:
    """Redeem a voucher for an offer, claim it, and give the account."""

    def make(offer: str) -> Tenancy:
        holder = Holder(tmp_path / f"holder-{len(list(tmp_path.iterdir()))}")
        accepted = world.redeem(world.voucher(offer), offer)
        assert accepted["status"] == 202, accepted
        seen = world.tenure.wait(accepted["account"], {"ACTIVE"}, world.token, within=60)
        holder.claim(accepted["claim_url"])
        return Tenancy(accepted["account"], holder, accepted["claim_url"], seen)

    return make
