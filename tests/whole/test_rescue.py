"""After the end, with everything real: the holder fetches their results, with Tenure dead too; an operator exports."""

import hashlib
import subprocess
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import httpx

from tests.demo import probes
from tests.demo.world import World
from tests.drive import until
from tests.lab.independent import listing
from tests.whole.conftest import Tenancy

DOCUMENT = hashlib.sha256(b"signed").hexdigest()


def typed(mine: Tenancy, command: str) -> "subprocess.CompletedProcess[bytes]":
    """The page's own command, with the holder's folder where it says ~/.ssh."""
    words = command.replace("~/.ssh", str(mine.holder.folder)) + " "
    asks_nothing = words.replace(" -i ", " -F none -o BatchMode=yes -i ", 1).strip()
    return subprocess.run(["sh", "-c", asks_nothing], capture_output=True, timeout=60, check=False,
                          cwd=mine.holder.folder, stdin=subprocess.DEVNULL)


def claimed(world: World, mine: Tenancy) -> tuple[str, str]:
    """Claim in grace, save what the page gives where it says, and give its two commands: everything, and sftp."""
    got = mine.holder.claim(mine.claim_url)
    assert got["fetch_only"] is True
    page = httpx.get(mine.claim_url, params={"lang": "en"}, timeout=30).text
    commands = [page.split(f'<pre id="{name}">')[1].split("</pre>")[0] for name in ("fetch", "sftp")]
    for kind, name in (("certificate", f"tenure-{mine.id}-rescue-cert.pub"), ("hosts", f"tenure-{mine.id}-hosts")):
        (mine.holder.folder / name).write_text(httpx.get(f"{mine.claim_url}/{kind}", timeout=30).text)
    assert commands[1] == got["command"]
    return commands[0], commands[1]


def test_results_are_fetched_with_tenure_dead_and_the_door_closes_by_itself(
    world: World, tenancy: Callable[..., Tenancy]
) -> None:
    """Minted, then Tenure is killed: the page's command brings everything, until grace is over; then it is refused and
    nothing was deleted. Tenure comes back, takes everything away and proves it."""
    mine = tenancy("fetched")
    uid = probes.uid_of(mine.id)
    mine.holder.ssh("mkdir results; echo 42 > results/answer")
    world.tenure.wait(mine.id, {"FENCED"}, world.token, within=30)
    everything, some = claimed(world, mine)
    over = datetime.fromisoformat(httpx.post(mine.claim_url, json={
        "ssh_public_key": mine.holder.key.with_suffix(".pub").read_text().strip()}, timeout=30).json()["expires"])
    world.tenure.kill()
    fetched = typed(mine, everything)
    assert fetched.returncode == 0, fetched.stderr
    assert (mine.holder.folder / f"tenure-{mine.id}/results/answer").read_text() == "42\n"
    assert mine.holder.ssh("id").returncode == 77
    session = mine.holder.start("-s", "sftp")
    until("the session ends", lambda: True if session.poll() is not None else None, within=60)
    assert time.time() >= over.timestamp()
    until("no process is left", lambda: True if not probes.alive(uid, mine.id) else None, within=10)
    assert typed(mine, some).returncode != 0
    assert (world.place.path("pool") / mine.id / "home/results/answer").exists()
    world.tenure.serve()
    world.tenure.wait(mine.id, {"RECLAIMED"}, world.token, within=90)
    assert [line for line in listing(world.place, mine.id, uid) if str(mine.holder.folder) not in line] == []


def test_a_contract_goes_on_from_an_open_rescue(world: World, tenancy: Callable[..., Tenancy]) -> None:
    """The session ends, what was stored is there, and the same key logs in again."""
    mine = tenancy("graceful")
    mine.holder.ssh("echo kept > data")
    world.tenure.wait(mine.id, {"FENCED"}, world.token, within=30)
    claimed(world, mine)
    session = mine.holder.start("-s", "sftp")
    until("the session is there", lambda: True if probes.alive(probes.uid_of(mine.id), mine.id) else None, within=20)
    world.tenure.cli("account", "convert", mine.id, "--contract", "C-3", "--offer", "larger", "--until", "open",
                     "--document", DOCUMENT, "--wait", "60s", "--yes")
    until("the session ends", lambda: True if session.poll() is not None else None, within=20)
    mine.holder.claim(mine.claim_url)
    assert mine.holder.ssh("cat data").stdout == b"kept\n"


def test_a_reclaim_ends_an_open_rescue(world: World, tenancy: Callable[..., Tenancy]) -> None:
    """An operator does not wait for grace: the session ends, and nothing is left."""
    mine = tenancy("graceful")
    uid = probes.uid_of(mine.id)
    world.tenure.wait(mine.id, {"FENCED"}, world.token, within=30)
    claimed(world, mine)
    session = mine.holder.start("-s", "sftp")
    until("the session is there", lambda: True if probes.alive(uid, mine.id) else None, within=20)
    world.tenure.cli("account", "reclaim", mine.id, "--yes")
    world.tenure.wait(mine.id, {"RECLAIMED"}, world.token, within=90)
    until("the session ends", lambda: True if session.poll() is not None else None, within=20)
    assert [line for line in listing(world.place, mine.id, uid) if str(mine.holder.folder) not in line] == []


def test_an_operator_exports_under_a_hold(world: World, tenancy: Callable[..., Tenancy], tmp_path: Path) -> None:
    """Past grace, held: a file, and the same through a pipe into tar."""
    mine = tenancy("brief")
    mine.holder.ssh("echo 42 > answer")
    world.tenure.cli("hold", mine.id)
    world.tenure.wait(mine.id, {"FENCED"}, world.token, within=30)
    made = world.tenure.cli("account", "export", mine.id, "--to", str(tmp_path / "x.tar"), "--why", "the key was lost")
    assert hashlib.sha256((tmp_path / "x.tar").read_bytes()).hexdigest() == made["sha256"]
    argv = world.tenure.command("account", "export", mine.id, "--to", "-", "--include", "answer")
    with subprocess.Popen(argv, env=world.tenure.environment(), stdout=subprocess.PIPE) as piped:
        unpacked = subprocess.run(["tar", "-xO"], stdin=piped.stdout, capture_output=True, timeout=60, check=True)
    assert unpacked.stdout == b"42\n"
    world.tenure.cli("hold", mine.id, "--off")
    world.tenure.wait(mine.id, {"RECLAIMED"}, world.token, within=90)
