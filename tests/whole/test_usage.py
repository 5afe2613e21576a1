"""Usage on a real site: what a holder burns is exported, also when the account is gone; an outage moves the end."""

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

from tests.demo.world import World
from tests.drive import Holder, until
from tests.whole.conftest import Tenancy

BURN = "SECONDS=0; while [ $SECONDS -lt 3 ]; do :; done; times"
PROGRAMME = {"programmes": [{"name": "kind", "benefit": "trial", "offer": "lasting", "hours": 2,
                             "outage_credit": "1h"}]}


def burn(holder: Holder) -> float:
    """Core-seconds that a login's shell says it has used."""
    said = holder.ssh(f"bash -c '{BURN}'").stdout.decode()
    found = re.findall(r"(\d+)m([\d.]+)s", said)
    assert found, said
    return sum(60 * int(minutes) + float(seconds) for minutes, seconds in found)


def exported(world: World, id: str, meter: str) -> list[dict[str, Any]]:
    since = (datetime.now(UTC) - timedelta(hours=2)).isoformat()
    lines = world.tenure.cli("usage", "export", "--from", since, "--account", id)
    return [line for line in lines if line["meter"] == meter]


def test_what_a_holder_burns_is_exported_and_certified(world: World, tenancy: Callable[..., Tenancy],
                                                       tmp_path: Path) -> None:
    """Read while it runs, read a last time before it is removed: the export and the certificate say the same."""
    mine = tenancy("brief")
    burnt = burn(mine.holder)
    assert burnt > 0
    world.tenure.cli("usage", "read", mine.id)
    assert sum(line["amount"] for line in exported(world, mine.id, "cpu")) >= burnt * 950
    world.tenure.wait(mine.id, {"RECLAIMED"}, world.token, within=90)
    world.tenure.cli("certificate", "show", mine.id, "--out", str(tmp_path / "proof"))
    used = json.loads((tmp_path / "proof/certificate.json").read_text())["usage"]
    lines = exported(world, mine.id, "cpu")
    assert sum(line["amount"] for line in lines) == used["amounts"]["cpu"] >= burnt * 950
    assert (used["gaps_seconds"], [line["gap_seconds"] for line in lines if line["gap_seconds"]]) == ({}, [])


def test_an_outage_moves_a_trials_end_at_its_site(world: World, tmp_path: Path) -> None:
    """Told by an operator: the end that the holder's new certificate has is the later one."""
    file = tmp_path / "programme.yaml"
    file.write_text(yaml.safe_dump(PROGRAMME))
    world.tenure.cli("apply", "-f", str(file))
    code = world.tenure.cli("voucher", "issue", "--programme", "kind", "--count", "1")["codes"][0]
    accepted = world.redeem(code, "lasting", programme="kind")
    assert accepted["status"] == 202, accepted
    before = world.tenure.wait(accepted["account"], {"ACTIVE"}, world.token, within=60)
    began = datetime.fromisoformat(before["starts_at"])
    over = began + timedelta(seconds=1)
    until("the outage is over", lambda: True if datetime.now(UTC) > over else None, within=30)
    world.tenure.cli("outage", "add", world.place.name, "--from", (began - timedelta(hours=1)).isoformat(),
                     "--until", over.isoformat(), "--why", "power", "--yes")
    after = world.tenure.get(f"/v1/accounts/{accepted['account']}", world.token)
    moved = datetime.fromisoformat(after["ends_at"]) - datetime.fromisoformat(before["ends_at"])
    assert moved == timedelta(seconds=1)
    told = world.tenure.cli("outage", "list", "--accounts")
    mine = [one for one in told if one["account"] == accepted["account"]]
    assert [(one["outcome"], one["seconds"]) for one in mine] == [("extended", 1)]
