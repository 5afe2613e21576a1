"""The main job on a real site: an account's whole life, its end with Tenure dead, and its conversion in place."""

import hashlib
import subprocess
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.demo import probes
from tests.demo.world import World
from tests.drive import until
from tests.lab.host import IMAGE
from tests.lab.independent import listing
from tests.whole.conftest import Tenancy

DOCUMENT = hashlib.sha256(b"signed").hexdigest()


def test_a_voucher_becomes_an_account_that_ends_and_leaves_nothing(
    world: World, tenancy: Callable[..., Tenancy], tmp_path: Path
) -> None:
    """Redeemed, used, fenced, reclaimed; an independent listing is empty and openssl verifies the certificate."""
    mine = tenancy("brief")
    uid = probes.uid_of(mine.id)
    assert mine.holder.ssh("container", "run", "-d", "--name", "one", IMAGE, "sleep", "1000").returncode == 0
    world.tenure.wait(mine.id, {"RECLAIMED"}, world.token, within=90)
    assert listing(world.place, mine.id, uid) == []
    assert mine.holder.ssh("true").returncode != 0
    world.tenure.cli("certificate", "show", mine.id, "--out", str(tmp_path / "proof"))
    argv = ["openssl", "pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", "key.pem", "-sigfile", "certificate.sig",
            "-in", "certificate.json"]
    assert subprocess.run(argv, cwd=tmp_path / "proof", capture_output=True, timeout=20, check=False).returncode == 0
    document = tmp_path / "proof/certificate.json"
    document.write_bytes(document.read_bytes().replace(mine.id.encode(), b"aaaaaaaaaa"))
    assert subprocess.run(argv, cwd=tmp_path / "proof", capture_output=True, timeout=20, check=False).returncode != 0


def test_with_tenure_dead_the_site_ends_the_account(world: World, tenancy: Callable[..., Tenancy]) -> None:
    """The open session, the container and every process are gone, packets stop, a login is refused."""
    mine = tenancy("brief")
    uid, end = probes.uid_of(mine.id), datetime.fromisoformat(mine.seen["ends_at"]).timestamp()
    assert mine.holder.ssh("container", "run", "-d", "--name", "one", IMAGE, "sleep", "1000").returncode == 0
    packets = probes.Packets(world.place)
    session = mine.holder.start(
        f"bash -c 'while :; do echo x > /dev/udp/{world.place.machine_address}/{packets.port}; sleep 0.05; done'",
        tty=True)
    until("packets come", lambda: packets.count or None, within=10)
    world.tenure.kill()
    assert time.time() < end
    until("no process is left", lambda: True if not probes.alive(uid, mine.id) else None, within=30)
    assert time.time() >= end
    until("the session ends", lambda: True if session.poll() is not None else None, within=10)
    assert packets.last <= end + 1.0
    assert mine.holder.ssh("true").returncode != 0


def test_conversion_keeps_what_runs_and_the_old_end_passes(world: World, tenancy: Callable[..., Tenancy]) -> None:
    """Container, file, uid, subvolume and address are the same; after the old end nothing has stopped."""
    mine = tenancy("converted")
    end = datetime.fromisoformat(mine.seen["ends_at"]).timestamp()
    name = mine.holder.ssh("container", "run", "-d", "--name", "work", IMAGE, "sleep", "100000").stdout
    mine.holder.ssh("echo kept > data")
    facts = "id -u; cat data; cat /proc/self/mountinfo | grep -c .; ip -4 -o addr show eth0 | tr -s ' ' | cut -d' ' -f4"
    before = mine.holder.ssh(facts).stdout
    pool = str(world.place.path("pool") / mine.id)
    volume = subprocess.run(["btrfs", "inspect-internal", "rootid", pool], capture_output=True, check=True).stdout
    contract_end = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    world.tenure.cli("account", "convert", mine.id, "--contract", "C-1", "--offer", "larger", "--until", contract_end,
                     "--document", DOCUMENT, "--wait", "60s", "--yes")
    until("the old end passes", lambda: True if time.time() > end + 2 else None, within=30)
    mine.holder.claim(mine.claim_url)
    assert mine.holder.ssh(facts).stdout == before
    assert name.strip()[:12] in mine.holder.ssh("container", "list").stdout
    assert subprocess.run(["btrfs", "inspect-internal", "rootid", pool], capture_output=True,
                          check=True).stdout == volume
    assert world.tenure.get(f"/v1/accounts/{mine.id}", world.token)["state"] == "CONTRACTED"


def test_a_contract_within_grace_lifts_the_end_and_keeps_the_data(
    world: World, tenancy: Callable[..., Tenancy]
) -> None:
    """From FENCED: what runs was stopped, what was stored is there."""
    mine = tenancy("graceful")
    mine.holder.ssh("echo kept > data")
    world.tenure.wait(mine.id, {"FENCED"}, world.token, within=30)
    assert mine.holder.ssh("true").returncode != 0
    world.tenure.cli("account", "convert", mine.id, "--contract", "C-2", "--offer", "larger", "--until", "open",
                     "--document", DOCUMENT, "--wait", "60s", "--yes")
    mine.holder.claim(mine.claim_url)
    assert mine.holder.ssh("cat data").stdout == b"kept\n"
