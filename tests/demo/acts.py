"""The five parts of the demo, each on the real site: a Linux host; what other kinds share is here, too."""

import hashlib
import re
import subprocess
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.demo import probes
from tests.demo.report import Report, Step, TooSlow
from tests.demo.world import OFFERS, World
from tests.drive import STARTING, DriveError, Holder, until
from tests.lab.host import IMAGE
from tests.lab.independent import listing
from tests.lab.lab import Lab

__all__ = ["OFFERS", "TITLE", "both", "lab"]
MIB = 1 << 20
QUOTA = 48 * MIB
TREE = 128 << 10
"""What btrfs counts beside the bytes of files: its own blocks for names and extents."""


@dataclass
class Opened:
    """An account that is usable, and its holder."""

    id: str
    holder: Holder
    ends_at: datetime
    claim_url: str
    redeemed: float
    """When its redemption was sent, by the monotonic clock."""
    took: float
    """Seconds from then until it was usable: how fast this machine is."""

    @property
    def end(self) -> float:
        return self.ends_at.timestamp()

    def bring_nearer(self, world: World, report: Report, steps: float) -> None:
        """Its end comes as soon as this machine has had time for so many changes like the one that made it."""
        self.ends_at = datetime.fromtimestamp(world.bring_nearer(self.id, 8 + steps * self.took), UTC)
        report.until = self.end


def redeem(world: World, report: Report, offer: str, name: str) -> Opened:
    """1: a signed redemption becomes an account that its holder uses."""
    opened = admitted(world, report, offer, name)
    with report.step("a container runs") as step:
        ran = opened.holder.ssh("container", "run", "--name", "first", IMAGE, "echo", "hello")
        step.must(ran.stdout.strip() == b"hello", (ran.stdout + ran.stderr).decode().strip())
        step.saw(f"redeemed → container's first output: {time.monotonic() - opened.redeemed:.2f} s")
    opened.holder.ssh("container", "rm", "first")
    return opened


def admitted(world: World, report: Report, offer: str, name: str) -> Opened:
    """A signed redemption, and its holder's first login."""
    code, holder = world.voucher(offer), world.holder(name)
    redeemed = time.monotonic()
    with report.step("POST /v1/redemptions, signed (Standard Webhooks)") as step:
        accepted = world.redeem(code, offer)
        step.must(accepted["status"] == 202, f"{accepted['status']} {accepted.get('account') or accepted}")
    with report.step("the account becomes ACTIVE; its clock starts now") as step:
        seen = world.tenure.wait(accepted["account"], {"ACTIVE"}, world.token, within=STARTING)
        took = time.monotonic() - redeemed
        step.saw(f"from {seen['starts_at']} to {seen['ends_at']}, by the site's clock")
    with report.step("the claim link mints an SSH certificate for the holder's own key") as step:
        got = holder.claim(accepted["claim_url"])
        step.saw(f"login {got['login']}, valid to {got['expires']}")
    with report.step("`ssh` with that certificate") as step:
        ran = holder.ssh("id", "-u")
        step.must(ran.returncode == 0, f"uid {ran.stdout.decode().strip()} {ran.stderr.decode().strip()}")
    ends = datetime.fromisoformat(seen["ends_at"])
    report.until = ends.timestamp()
    return Opened(accepted["account"], holder, ends, accepted["claim_url"], redeemed, took)


def limits(report: Report, opened: Opened) -> None:
    """2: every limit of the offer holds."""
    holder = opened.holder
    with report.step("containers: two are the offer, a third is asked for") as step:
        for name in ("one", "two"):
            ran = holder.ssh("container", "run", "-d", "--name", name, IMAGE, "sleep", "1000")
            step.must(ran.returncode == 0, f"{name}: {(ran.stdout + ran.stderr).decode().strip()[:80]}")
        ran = holder.ssh("container", "run", "-d", "--name", "three", IMAGE, "sleep", "1000")
        step.must(ran.returncode != 0, f"third: refused: {ran.stderr.decode().strip()[:160]}")
    _storage(report, holder)
    with report.step("memory: a login asks for 400 MiB, the offer says 256") as step:
        ran = holder.ssh("python3 -c 'print(len(bytearray(400 << 20)))'")
        said = (ran.stdout + ran.stderr).decode().strip()
        step.must(ran.returncode != 0 and "419430400" not in said, f"killed (exit {ran.returncode}) {said}")
    with report.step("pids: a login forks until it is refused, the offer says 128") as step:
        ran = holder.ssh(f"python3 -c '{FORKS}'")
        count = int(ran.stdout or b"-1")
        step.must(0 <= count < 128, f"the {count + 1}th fork was refused {ran.stderr.decode().strip()}")


FORKS = """
import os, signal
children = []
try:
    while len(children) < 400:
        child = os.fork()
        if child == 0:
            signal.pause()
        children.append(child)
except OSError:
    pass
print(len(children))
for child in children:
    os.kill(child, signal.SIGKILL)
"""


def _storage(report: Report, holder: Holder) -> None:
    """The same exact limit wherever a write lands."""
    fill = "dd if=/dev/zero of={0} bs=4k 2>&1 | tail -n 1; stat -c %s {0}; rm -f {0}"
    for where, name in (("home", "$HOME/fill"), ("/tmp", "/tmp/fill")):
        with report.step(f"storage: write to {where} until it fails") as step:
            exact(step, holder.ssh(fill.format(name)).stdout.decode())
    with report.step("storage: write to a container's own layer until it fails") as step:
        write = "dd if=/dev/zero of=/var/tmp/fill bs=4k 2>/dev/null; stat -c %s /var/tmp/fill; rm -f /var/tmp/fill"
        exact(step, holder.ssh("container", "exec", "one", "sh", "-c", f"'{write}'").stdout.decode())
    with report.step("storage: a container's log counts too") as step:
        holder.ssh("container", "stop", "-t", "0", "two")
        holder.ssh("container", "rm", "two")
        holder.ssh("dd if=/dev/zero of=$HOME/most bs=1M count=47 2>/dev/null")
        holder.ssh("container", "run", "--name", "talks", IMAGE, "sh", "-c", f"'yes {'x' * 400} | head -c 8000000'")
        logged = len(holder.ssh("container", "logs", "talks").stdout)
        step.must(logged <= 2 * MIB, f"8,000,000 bytes said with 1 MiB left: {logged} bytes kept")
        holder.ssh("rm -f $HOME/most")
        holder.ssh("container", "rm", "talks")


def exact(step: Any, said: str) -> None:
    sizes = [int(word) for word in re.findall(r"^\d+$", said, re.M)]
    size = sizes[-1] if sizes else 0
    step.must(QUOTA - 2 * MIB <= size <= QUOTA, f"failed at {size} bytes of file; quota {QUOTA} with names and extents")


def network(world: World, report: Report, opened: Opened) -> None:
    """2, the network: the rate is measured and the egress quota cuts."""
    sink = probes.Sink(world.place)
    send = f"head -c {{}} /dev/zero > /dev/tcp/{world.place.machine_address}/{sink.port}"
    with report.step("network: 3 MiB out, the offer says 20 Mbit/s") as step:
        opened.holder.ssh(f"bash -c '{send.format(3 * MIB)}'")
        until("3 MiB arrive", lambda: True if sink.received >= 3 * MIB else None, within=STARTING)
        rate = sink.received * 8 / max(sink.last - sink.first, 1e-3) / 1e6
        if rate < 14:
            raise TooSlow(f"{rate:.1f} Mbit/s were sent, less than the limit lets through")
        step.must(rate <= 24, f"{rate:.1f} Mbit/s")
    with report.step("network: 10 MiB more, the offer's egress is 5 MiB in all") as step:
        opened.holder.ssh(f"timeout 10 bash -c '{send.format(10 * MIB)}'")
        if sink.received < 4 * MIB:
            raise TooSlow(f"{sink.received} bytes arrived in 10 s, fewer than the quota lets through")
        step.must(sink.received <= 5 * MIB, f"{sink.received} bytes arrived of {5 * MIB} with headers")
    sink.close()


def end_alone(world: World, report: Report, opened: Opened) -> None:
    """3: Tenure is dead; the site ends the account by itself."""
    holder, uid = opened.holder, probes.uid_of(opened.id)
    packets = probes.Packets(world.place)
    beat = (f"bash -c 'while :; do echo x > /dev/udp/{world.place.machine_address}/{packets.port}; sleep 0.02; done'")
    session = holder.start(beat, tty=True)
    try:
        with report.step("a session stays open and sends a packet every 20 ms; the end is moved near; Tenure: SIGKILL"
                         ) as step:
            until("packets arrive", lambda: packets.count or None, within=STARTING)
            opened.bring_nearer(world, report, 3)
            holder.claim(opened.claim_url)
            world.tenure.kill()
            running = probes.alive(uid, opened.id)
            if time.time() > opened.end - 2:
                raise TooSlow(f"the end came before Tenure was dead, {8 + 3 * opened.took:.0f} s after it was moved")
            step.must(len(running) > 1, f"{len(running)} processes of the account; Tenure's process is gone")
        with report.step(f"the end comes at {opened.ends_at:%H:%M:%S}") as step:
            report.until = None
            _ended(step, opened, uid, session, packets)
    finally:
        session.kill()
        session.wait(10)


def _ended(step: Step, opened: Opened, uid: int, session: "subprocess.Popen[bytes]", packets: probes.Packets) -> None:
    """What of the account is seen after its end, and until when."""
    if (wait := opened.end - time.time() - 1.5) > 0:
        time.sleep(wait)
    refusals = probes.Refusals(opened.holder)
    gone = _watch(uid, opened)
    closed = until("the open session ends", lambda: time.time() if session.poll() is not None else None, within=30)
    until("a login is refused", lambda: refusals.refused or None, within=60)
    refusals.stop.set()
    if refusals.refused - opened.end > 1 and refusals.let_in < opened.end:
        raise TooSlow(f"a login took {refusals.refused - refusals.let_in:.1f} s: none fell within 1 s after the end")
    for what, at, most in (("a new login refused, asked", refusals.refused, 1.0),
                           ("last login let in, asked", refusals.let_in, 1.0),
                           ("last packet", packets.last, 1.0), ("open session gone", closed, 2.0),
                           ("no process and no container left", gone, 2.0)):
        step.must(at - opened.end <= most, f"{what}: end {at - opened.end:+.3f} s")


def _watch(uid: int, opened: Opened) -> float:
    """When the account's last process was gone, by the site's clock."""
    def look() -> float | None:
        now = time.time()
        return now if now >= opened.end and not probes.alive(uid, opened.id) else None
    return until("the account's processes are gone", look, within=60, every=0.01)


def reclaim(world: World, report: Report, opened: Opened, uid: int) -> None:
    """4: Tenure comes back, takes everything away and proves it."""
    with report.step("Tenure starts again and notices") as step:
        world.tenure.serve()
        seen = world.tenure.wait(opened.id, {"RECLAIMED"}, world.token, within=STARTING)
        step.saw(f"{opened.id} is {seen['state']}")
    with report.step("an independent listing of the host") as step:
        found = listing(world.place, opened.id, uid)
        step.must(not found, "; ".join(found) or "nothing")
    with report.step("the clean-exit certificate, verified by plain openssl") as step:
        folder = world.tenure.home.parent / "certificate"
        folder.mkdir(exist_ok=True)
        world.tenure.cli("certificate", "show", opened.id, "--out", str(folder))
        argv = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", str(folder / "key.pem"), "-rawin",
                "-in", str(folder / "certificate.json"), "-sigfile", str(folder / "certificate.sig")]
        ran = subprocess.run(argv, capture_output=True, text=True, timeout=20, check=False)
        step.must(ran.returncode == 0, (ran.stdout + ran.stderr).strip())
        step.saw("$ " + " ".join(Path(word).name if "/" in word else word for word in argv))


def convert(world: World, report: Report, opened: Opened) -> None:
    """5: the account becomes a contract in place; nothing stops when the old end passes."""
    holder = opened.holder
    with report.step("before: a running container, a file, the account's own facts") as step:
        holder.ssh("container", "run", "-d", "--name", "work", IMAGE, "sleep", "100000")
        holder.ssh("head -c 1M /dev/urandom > data && sync")
        before = _identity(world, opened)
        step.saw(", ".join(f"{name} {value[:16]}" for name, value in before.items()))
    document = hashlib.sha256(b"the signed paper").hexdigest()
    with report.step("the end is moved near; tenure account convert: refresh, preview, arm, converge") as step:
        opened.bring_nearer(world, report, 6)
        until_at = (datetime.now(UTC) + timedelta(hours=2)).isoformat()
        done = world.tenure.cli("account", "convert", opened.id, "--contract", "C-2026-001", "--offer", "rental",
                                "--until", until_at, "--document", document, "--yes", "--wait", f"{STARTING}s")
        changes = done.get("changes", [])
        bad = [one for one in changes if one["op"] not in ("same", "update", "refresh")]
        step.must(not bad, f"preview: {', '.join(one['part'] + ' ' + one['op'] for one in changes) or 'no change'}")
        world.tenure.wait(opened.id, {"CONTRACTED"}, world.token, within=STARTING)
        report.until = None
    with report.step(f"the old end ({opened.ends_at:%H:%M:%S}) passes") as step:
        if (wait := opened.end + 2 - time.time()) > 0:
            time.sleep(wait)
        holder.claim(opened.claim_url)
        after = _identity(world, opened)
        for name, value in before.items():
            step.must(after[name] == value, f"{name}: {after[name][:40]}")


def _identity(world: World, opened: Opened) -> dict[str, str]:
    """What must be the same before and after."""
    ran = opened.holder.ssh("sha256sum data; hostname -I 2>/dev/null || ip -4 -o addr show eth0")
    words = ran.stdout.decode().split()
    if ran.returncode != 0 and not words:
        raise DriveError(f"login: {ran.stderr.decode().strip()}")
    containers = opened.holder.ssh("container", "list").stdout.decode()
    running = re.search(r"\b[0-9a-f]{12,64}\b.*", containers)
    pool = str(world.place.path("pool") / opened.id)
    subvolume = subprocess.run(["btrfs", "subvolume", "show", pool], capture_output=True, text=True, check=True).stdout
    return {
        "file": words[0],
        "address": (re.search(r"\d+\.\d+\.\d+\.\d+", " ".join(words[2:])) or [""])[0],
        "container": running[0].split()[0] if running else "",
        "subvolume": re.search(r"Subvolume ID:\s+(\d+)", subvolume)[1],  # type: ignore[index]
        "uid": str(probes.uid_of(opened.id)),
    }


TITLE = "on a real Linux site (network namespace, sshd, podman, btrfs, nftables, tc)"


def lab(name: str) -> Lab:
    return Lab(name)


def both(world: World, report: Report) -> None:
    """The whole demo in order."""
    report.act(1, "A redeemed voucher becomes an account")
    first = redeem(world, report, "trial", "first")
    uid = probes.uid_of(first.id)
    report.act(2, "Every limit holds")
    limits(report, first)
    network(world, report, redeem(world, report, "metered", "second"))
    report.act(3, "The end, with Tenure dead")
    end_alone(world, report, first)
    report.act(4, "Tenure comes back: everything is taken away, and proven")
    reclaim(world, report, first, uid)
    report.act(5, "An account becomes a rental contract, in place")
    convert(world, report, redeem(world, report, "short", "third"))


