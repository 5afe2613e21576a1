"""What goes wrong around a real site: kills, a site that is away, a reboot, what holders leave behind."""

import json
import signal
import subprocess
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from tests.demo import probes
from tests.demo.world import World
from tests.drive import Holder, Tenure, until
from tests.lab.host import IMAGE
from tests.lab.independent import listing
from tests.lab.shell import stop
from tests.whole.conftest import Tenancy


def test_an_event_accepted_before_a_kill_becomes_one_account(installed: World, tmp_path: Path) -> None:
    """kill -9 right after the parts were made: the next start goes on, with one account at the site."""
    installed.tenure.serve(TENURE_FAILPOINT="provision.up.after")
    accepted = installed.redeem(installed.voucher("lasting"), "lasting")
    assert accepted["status"] == 202
    server = installed.tenure.server
    assert server is not None
    assert server.wait(60) == -signal.SIGKILL
    installed.tenure.server = None
    installed.tenure.serve()
    seen = installed.tenure.wait(accepted["account"], {"ACTIVE"}, installed.token, within=120)
    assert seen["starts_at"]
    users = Path("/etc/passwd").read_text()
    assert users.count(f"tn-{accepted['account']}:") == 1
    holder = Holder(tmp_path / "holder")
    holder.claim(accepted["claim_url"])
    assert holder.ssh("true").returncode == 0
    installed.tenure.kill()


def test_a_site_that_is_away_at_the_end_ends_its_accounts_itself(
    world: World, tenancy: Callable[..., Tenancy]
) -> None:
    """Tenure cannot reach it, the reaper acts; once reachable it is recorded, reclaimed and shown empty."""
    mine = tenancy("brief")
    uid = probes.uid_of(mine.id)
    session = mine.holder.start("sleep 1000")
    until("the session runs", lambda: probes.alive(uid, mine.id) or None, within=10)
    stop(world.place, "sshd")
    until("no process is left", lambda: True if not probes.alive(uid, mine.id) else None, within=40)
    assert time.time() >= datetime.fromisoformat(mine.seen["ends_at"]).timestamp()
    session.wait(20)
    assert world.tenure.get(f"/v1/accounts/{mine.id}", world.token)["state"] in ("ACTIVE", "FENCED", "RECLAIMING")
    world.lab.start_sshd()
    world.tenure.wait(mine.id, {"RECLAIMED"}, world.token, within=120)
    assert listing(world.place, mine.id, uid) == []


def test_a_reboot_in_mid_lease_restores_limits_before_any_login(
    world: World, tenancy: Callable[..., Tenancy]
) -> None:
    """After the reboot the address, rate and limits are back, and the holder logs in again."""
    mine = tenancy("lasting")
    mine.holder.ssh("echo kept > data")
    address = mine.holder.ssh("ip -4 -o addr show eth0").stdout
    ready: list[bool] = []

    def before_sshd() -> None:
        until("limits are back", lambda: (world.place.run / f"{mine.id}.ready").exists() or None, within=20)
        ready.append(True)

    world.lab.reboot(before_sshd)
    assert ready
    until("a login works", lambda: True if mine.holder.ssh("true").returncode == 0 else None, within=20)
    assert mine.holder.ssh("cat data").stdout == b"kept\n"
    assert mine.holder.ssh("ip -4 -o addr show eth0").stdout == address
    assert mine.holder.ssh("python3 -c 'bytearray(400 << 20)'").returncode != 0
    filled = mine.holder.ssh("dd if=/dev/zero of=fill bs=1M count=100; stat -c %s fill; rm fill").stdout
    assert int(filled.split()[-1]) < 48 << 20


def test_what_a_holder_leaves_behind_survives_neither_fence_nor_reclaim(
    world: World, tenancy: Callable[..., Tenancy]
) -> None:
    """cron, at, nohup, extra keys, setuid files and symlinks; a file of theirs outside their storage, too."""
    mine = tenancy("lasting")
    uid = probes.uid_of(mine.id)
    mine.holder.ssh("mkdir -p .ssh && cp /dev/null .ssh/authorized_keys && cp /bin/sh own && chmod 4755 own; "
                    "ln -s /etc/passwd link; (nohup setsid sleep 1000 >/dev/null 2>&1 &)")
    mine.holder.ssh("container", "run", "-d", IMAGE, "sleep", "1000")
    # What no login of theirs may do, as root does it here: the clean has to find it all the same.
    subprocess.run(["crontab", "-u", mine.user, "-"], input=b"* * * * * true\n", check=True, timeout=10)
    subprocess.run(["at", "now + 1 day"], input=b"true\n", check=True, timeout=10, capture_output=True,
                   user=mine.user, env={"PATH": "/usr/bin:/bin", "LOGNAME": mine.user, "SHELL": "/bin/sh"}, cwd="/")
    stray = Path("/var/tmp") / f"stray-{mine.id}"
    stray.write_text("x")
    subprocess.run(["chown", str(uid), str(stray)], check=True, timeout=10)
    world.tenure.cli("account", "fence", mine.id, "--yes")
    until("no process is left", lambda: True if not probes.alive(uid, mine.id) else None, within=10)
    assert mine.user not in subprocess.run(["atq"], capture_output=True, text=True, check=True, timeout=10).stdout
    assert subprocess.run(["crontab", "-u", mine.user, "-l"], capture_output=True, timeout=10,
                          check=False).returncode != 0
    world.tenure.cli("account", "reclaim", mine.id, "--yes")
    world.tenure.wait(mine.id, {"RECLAIMED"}, world.token, within=60)
    assert listing(world.place, mine.id, uid) == []
    assert not stray.exists()


def test_two_processes_on_one_database_make_each_account_once(world: World) -> None:
    """A server and a worker beside it: eight events, eight accounts, each usable once."""
    beside = subprocess.Popen(Tenure.command("worker"), env=world.tenure.environment(), stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL)
    try:
        made = [world.redeem(world.voucher("lasting"), "lasting")["account"] for _ in range(6)]
        for account in made:
            world.tenure.wait(account, {"ACTIVE"}, world.token, within=120)
        usable = world.tenure.cli("journal", "list", "--limit", "200")
        rows = [row["subject"] for row in usable if row["action"] == "account.usable" and row["subject"] in made]
        assert sorted(rows) == sorted(made)
    finally:
        beside.terminate()
        beside.wait(30)


def test_the_scheduled_job_ends_accounts_with_no_server_running(
    world: World, tenancy: Callable[..., Tenancy]
) -> None:
    """`tenure reap`, rehearsed first, then twice at once: fenced, reclaimed, shown empty."""
    mine = tenancy("brief")
    uid = probes.uid_of(mine.id)
    world.tenure.kill()
    rehearsed = json.dumps(world.tenure.cli("reap", "--at", "+1m", codes=(0, 3)))
    assert mine.id in rehearsed
    until("grace is over", lambda: True if time.time() > datetime.fromisoformat(
        mine.seen["ends_at"]).timestamp() + 2 else None, within=30)

    def reaped() -> bool | None:
        both = [subprocess.Popen(Tenure.command("reap", "--json"), env=world.tenure.environment(),
                                 stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) for _ in range(2)]
        for one in both:
            one.communicate(timeout=120)
        return True if world.tenure.cli("account", "show", mine.id)["state"] == "RECLAIMED" else None

    until("reaped", reaped, within=120, every=1)
    assert listing(world.place, mine.id, uid) == []


def test_no_secret_lies_in_the_clear(world: World, tenancy: Callable[..., Tenancy]) -> None:
    """Voucher code, webhook secret, API token, claim link and private keys: nowhere under the home but sealed."""
    code = world.voucher("lasting")
    accepted = world.redeem(code, "lasting")
    world.tenure.wait(accepted["account"], {"ACTIVE"}, world.token, within=60)
    token = accepted["claim_url"].rsplit("/", 1)[1]
    words = [code, world.secret.removeprefix("whsec_"), world.token, token, "PRIVATE KEY", "xiaoming@example.cn.key"]
    found = []
    for file in world.tenure.home.rglob("*"):
        if file.is_file() and file.name != "keyring.json":
            held = file.read_bytes()
            found += [(str(file), word[:6]) for word in words if word.encode() in held]
    assert found == []
