"""The demo's stage: a lab, an installation of Tenure prepared on it, and the platform that sends vouchers."""

import secrets
import shutil
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

from tests.drive import Holder, Tenure
from tests.lab.lab import Lab
from tests.lab.place import Place
from tests.lab.tenured import offer_document, site_document

TRIAL = BRIEF = timedelta(minutes=20)
"""More than any machine needs; a step that is about the end first moves it as near as this machine can bear."""
LIMITED = offer_document("trial", TRIAL)
METERED = offer_document("metered", TRIAL, network={"rate": "20Mbit/s", "egress": "5MiB"})
SHORT = offer_document("short", BRIEF, grace="30s")
RENTAL = offer_document("rental", timedelta(hours=24), storage="96MiB",
                        network={"rate": "50Mbit/s", "egress": "1GiB"}, grace="1h")
OFFERS = [LIMITED, METERED, SHORT, RENTAL]


@dataclass
class World:
    """Everything the steps need."""

    lab: Lab
    place: Place
    tenure: Tenure
    secret: str = ""
    token: str = ""

    def redeem(self, code: str, offer: str, **more: Any) -> dict[str, Any]:
        """One signed redemption, as a voucher platform sends it."""
        holder = {"id": f"h-{secrets.token_hex(3)}", "name": "王小明", "kind": "individual",
                  "email": "xiaoming@example.cn"}
        body = {"type": "voucher.redeemed", "data": {"voucher": code, "holder": holder, "offer": offer, **more}}
        answer = self.tenure.post("/v1/redemptions", body, secret=self.secret, event=f"msg_{secrets.token_hex(8)}",
                                  sender="portal")
        return {"status": answer.status_code, **answer.json()}

    def voucher(self, offer: str) -> str:
        """A fresh code."""
        made = self.tenure.cli("voucher", "issue", "--offer", offer, "--count", "1", "--valid-for", "1d")
        return str(made["codes"][0])

    def bring_nearer(self, account: str, within: float) -> float:
        """Move the account's end to so many seconds from now, whole ones; answers it as Unix time."""
        end = datetime.fromtimestamp(int(time.time() + within) + 1, UTC)
        self.tenure.cli("account", "extend", account, "--to", end.isoformat())
        return end.timestamp()

    def holder(self, name: str) -> Holder:
        return Holder(self.tenure.home.parent / "holders" / name)


def build(folder: Path, lab: Lab, offers: list[dict[str, Any]], *, serve: bool = True) -> World:
    """Bring the lab up and put Tenure on it with its own commands; what an earlier run left is taken away first."""
    clean(folder, lab)
    place = lab.bare()
    lab.start_sshd()
    world = World(lab, place, Tenure(folder / "home"))
    try:
        _prepare(world, folder, offers)
        if serve:
            world.tenure.serve()
    except BaseException:
        close(world)
        raise
    return world


def _prepare(world: World, folder: Path, offers: list[dict[str, Any]]) -> None:
    lab, place = world.lab, world.place
    world.tenure.init()
    documents = folder / "site.yaml"
    documents.write_text(yaml.safe_dump({
        "offers": offers,
        "sites": [site_document(place, {offer["name"]: 100 for offer in offers})],
    }, allow_unicode=True))
    world.tenure.cli("apply", "-f", str(documents))
    world.tenure.cli("site", "prepare", place.name, "--as", "root", "--identity", str(place.path("keys/root")), "--yes")
    lab.start_reaper()
    world.secret = world.tenure.cli("sender", "add", "portal")["secret"]
    world.token = world.tenure.cli("token", "add", "--role", "admin", "--name", "demo")["token"]


def clean(folder: Path, lab: Lab) -> None:
    """Take lab and home away."""
    lab.down()
    shutil.rmtree(folder, ignore_errors=True)


def close(world: World) -> None:
    """Stop Tenure; the lab stays."""
    with suppress(subprocess.TimeoutExpired):
        world.tenure.kill()
