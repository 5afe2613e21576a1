"""A booking on a real site, some seconds ahead: prepared with its door shut, open at its time."""

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx

from tests.demo import probes
from tests.demo.world import World
from tests.drive import Holder, until


def test_nobody_gets_in_before_a_booking_begins(world: World, tmp_path: Path) -> None:
    """The account is there, and neither its claim link nor its site lets its holder in; at its time both do, and its
    time counts from then."""
    begins_at = datetime.now(UTC) + timedelta(seconds=15)
    accepted = world.redeem(world.voucher("lasting"), "lasting", begins_at=begins_at.isoformat())
    id, holder = accepted["account"], Holder(tmp_path / "holder")
    key = holder.key.with_suffix(".pub").read_text().strip()

    def prepared() -> bool | None:
        said = world.tenure.cli("account", "show", id, "--history")["history"]
        return True if "account.prepared" in [one["action"] for one in said] else None

    until("it is prepared", prepared, within=60)
    assert probes.uid_of(id) > 0
    seen = world.tenure.get(f"/v1/accounts/{id}", world.token)
    refused = httpx.post(accepted["claim_url"], json={"ssh_public_key": key}, timeout=30)
    if time.time() < begins_at.timestamp():
        assert (seen["state"], seen["starts_at"], refused.status_code) == ("PROVISIONING", None, 409)
    usable = world.tenure.wait(id, {"ACTIVE"}, world.token, within=60)
    starts_at, ends_at = (datetime.fromisoformat(usable[name]) for name in ("starts_at", "ends_at"))
    assert begins_at <= starts_at
    assert ends_at - starts_at == timedelta(hours=2)
    holder.claim(accepted["claim_url"])
    assert holder.ssh("id", "-un").stdout.decode().strip() == f"tn-{id}"
