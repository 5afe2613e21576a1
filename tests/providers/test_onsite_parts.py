"""The parts of an account on a real host: what they make, what holds, and what is refused."""

import dataclasses
import os
import signal
import subprocess
from pathlib import Path

import pytest

from providers.host.onsite import cgroups
from tests.lab.accounts import MIB, PARTS, Tenant
from tests.lab.client import Answered, Client
from tests.lab.fixtures import MakeTenant
from tests.lab.lab import Lab
from tests.lab.shell import run, until
from tests.lab.traffic import Sink, as_holder, send

FILL_SOCKETS = """
import socket
listener, kept, waiting = socket.create_server(("127.0.0.1", 0)), [], 0
for _ in range(60):
    near = socket.create_connection(listener.getsockname())
    kept += [near, listener.accept()[0]]
    near.setblocking(False)
    try:
        while True:
            waiting += near.send(b"x" * 65536)
    except BlockingIOError:
        pass
print(waiting)
"""
"""Opens connections that nobody reads from and says how many bytes they took."""


def written(tenant: Tenant, target: Path, mebibytes: int) -> int:
    """Bytes that the holder got onto the disk when writing so many MiB."""
    script = 'dd if=/dev/zero of="$1" bs=64k count="$2" conv=fsync 2>/dev/null; stat -c %s "$1"'
    return int(as_holder(tenant, "sh", "-c", script, "sh", str(target), str(mebibytes * 16)).stdout or 0)


@pytest.mark.parametrize("part", PARTS)
def test_ensure_twice_is_once(tenant: MakeTenant, part: str) -> None:
    """A part that is ensured again answers with the same facts."""
    made = tenant()
    assert made.client.call("ensure", part=part, spec=made.spec) == made.facts[part]


@pytest.mark.parametrize("part", PARTS)
def test_observe_shows_what_ensure_made(tenant: MakeTenant, part: str) -> None:
    """Looking shows the facts that making answered."""
    made = tenant()
    assert made.client.call("observe", part=part, spec=made.spec) == made.facts[part]


@pytest.mark.parametrize("part", PARTS)
def test_a_removed_part_is_not_observed(tenant: MakeTenant, part: str) -> None:
    """After remove, twice, there is nothing to see."""
    made = tenant()
    for _ in range(2):
        made.client.call("remove", part=part, spec=made.spec)
    assert made.client.call("observe", part=part, spec=made.spec) is None


@pytest.mark.parametrize("part", PARTS)
def test_open_reads_every_part_back(tenant: MakeTenant, part: str) -> None:
    """Logins do not open while a part is missing."""
    made = tenant()
    made.client.call("remove", part=part, spec=made.spec)
    with pytest.raises(Answered, match=part):
        made.client.call("open", account=made.id, duration=60, generation=1)


def test_ensure_without_an_armed_end_is_refused(lab_client: Client, tenant: MakeTenant) -> None:
    """Nothing comes to be that nothing would end."""
    made = tenant()
    stranger = made.spec | {"account": "azzzzzzzzz"}
    with pytest.raises(Answered, match="arm it first"):
        lab_client.call("ensure", part="account", spec=stranger)


@pytest.mark.parametrize("part", PARTS)
def test_no_part_of_an_account_in_use_is_removed(tenant: MakeTenant, part: str) -> None:
    """A live account's parts stay until it is fenced."""
    made = tenant().open()
    with pytest.raises(Answered, match="fence it first"):
        made.client.call("remove", part=part, spec=made.spec)


def test_lost_storage_of_a_live_account_is_not_made_anew(tenant: MakeTenant) -> None:
    """An empty home in the place of the holder's data would hide the loss: a human is asked."""
    made = tenant().open()
    run(["umount", f"{made.folder}/graph/overlay"], check=False)
    run(["btrfs", "subvolume", "delete", str(made.folder)])
    with pytest.raises(Answered) as refused:
        made.client.call("ensure", part="storage", spec=made.spec)
    assert refused.value.kind == "human"


def test_a_larger_offer_changes_limits_in_place(tenant: MakeTenant) -> None:
    """A conversion keeps uid, subvolume and address, and raises what holds them."""
    made = tenant()
    larger = {name: made.spec[name] * 2 for name in ("cpu_milli", "memory", "pids", "storage", "rate", "egress")}
    grown = dataclasses.replace(made, spec=made.spec | larger, facts={})
    for part in PARTS:
        grown.facts[part] = grown.client.call("ensure", part=part, spec=grown.spec)
    seen = {name: value for facts in grown.facts.values() for name, value in facts.items()}
    kept = {name: value for facts in made.facts.values() for name, value in facts.items() if name not in larger}
    assert seen == kept | larger


def test_memory_holds_with_no_way_into_swap(tenant: MakeTenant) -> None:
    """A process that takes more than the account's memory is killed."""
    made = tenant(memory=64 * MIB)
    taken = as_holder(made, "python3", "-c", "x = b'x' * (200 << 20)")
    assert taken.returncode == -signal.SIGKILL or taken.returncode == 128 + signal.SIGKILL


@pytest.mark.skipif(cgroups.tree().flavour != "v1", reason="cgroup v2 counts them as memory")
def test_socket_buffers_hold(tenant: MakeTenant) -> None:
    """Data that waits in sockets cannot take the host's memory."""
    made = tenant(memory=64 * MIB)
    filled = as_holder(made, "python3", "-c", FILL_SOCKETS)
    assert int(filled.stdout) <= 32 * MIB, filled.stderr


def test_the_number_of_processes_holds(tenant: MakeTenant) -> None:
    """A fork past the account's pids fails."""
    made = tenant(pids=30)
    script = "for i in $(seq 100); do sleep 5 >/dev/null 2>&1 & done; kill $(jobs -p)"
    assert "fork" in as_holder(made, "sh", "-c", script).stderr.lower()


@pytest.mark.parametrize("place", ["home", "tmp", "vartmp", "shm"])
def test_storage_is_cut_at_the_limit(tenant: MakeTenant, place: str) -> None:
    """Nothing past the quota gets onto the disk, wherever the holder may write."""
    made = tenant(storage=32 * MIB)
    assert 31 * MIB <= written(made, made.folder / place / "file", 64) <= 32 * MIB


def test_a_nested_subvolume_does_not_escape_the_quota(tenant: MakeTenant) -> None:
    """Any user may make a btrfs subvolume in their home: it counts towards the same limit."""
    made = tenant(storage=32 * MIB)
    nested = made.folder / "home" / "nested"
    as_holder(made, "btrfs", "subvolume", "create", str(nested))
    assert written(made, nested / "file", 64) <= 32 * MIB


def test_a_quota_below_use_takes_no_more(tenant: MakeTenant) -> None:
    """Lowering the limit under what is used deletes nothing and lets nothing in."""
    made = tenant(storage=32 * MIB)
    written(made, made.folder / "home/file", 24)
    made.client.call("ensure", part="storage", spec=made.spec | {"storage": 16 * MIB})
    assert written(made, made.folder / "home/more", 4) == 0


def test_egress_is_cut_at_the_exact_byte(tenant: MakeTenant) -> None:
    """Of packets of 1,000 bytes as many pass as fit the quota, and not one more."""
    made = tenant(egress=1_000_000)
    sink = Sink(made.place.machine_address)
    send(made, sink, 1500)
    assert sink.received() == 1000


def test_more_egress_lets_packets_pass_again(tenant: MakeTenant) -> None:
    """A raised quota counts on from what was used."""
    made = tenant(egress=100_000)
    sink = Sink(made.place.machine_address)
    send(made, sink, 200)
    made.client.call("ensure", part="network", spec=made.spec | {"egress": 150_000})
    send(made, sink, 200)
    assert sink.received() == 150


CONNECT = "import socket, sys; socket.create_connection((sys.argv[1], 7000), timeout=2)"
LISTEN = "import socket, time; line = socket.create_server(('', 7000)); print('up', flush=True); time.sleep(600)"


def test_accounts_do_not_reach_each_other(tenant: MakeTenant) -> None:
    """A server in one account, which the site itself reaches, is out of another account's reach."""
    one, other = tenant(), tenant()
    address = str(other.facts["network"]["address"])
    server = subprocess.Popen(other.inside("python3", "-c", LISTEN), stdout=subprocess.PIPE)
    assert server.stdout is not None
    assert server.stdout.readline() == b"up\n"
    run([*one.place.inside, "python3", "-c", CONNECT, address])
    assert "timed out" in as_holder(one, "python3", "-c", CONNECT, address).stderr
    server.kill()
    server.wait()


ASK = "import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'who am I', ('169.254.169.254', 80))"


def test_a_clouds_metadata_is_out_of_reach(tenant: MakeTenant) -> None:
    """What a cloud answers on link-local addresses is for the host: nothing from an account is passed on to there."""
    made = tenant().open()
    metadata = [*made.place.inside, "ip", "route"]
    run([*metadata, "replace", "169.254.169.254/32", "via", made.place.machine_address])
    asked = as_holder(made, "python3", "-c", ASK)
    run([*metadata, "delete", "169.254.169.254/32"])
    until(lambda: bool(made.usage()), "a look of the meters")
    assert (asked.returncode, made.used("egress")) == (0, 0)


def test_a_namespace_that_a_crash_left_half_made_is_made_anew(tenant: MakeTenant) -> None:
    """A file without a namespace, as a kill between two steps leaves it, is repaired."""
    made = tenant()
    run(["ip", "netns", "delete", made.user])
    Path(f"/run/netns/{made.user}").touch()
    assert made.client.call("ensure", part="network", spec=made.spec) == made.facts["network"]


def test_a_network_that_lost_its_address_is_missing_and_repaired(tenant: MakeTenant) -> None:
    """It has no address, which is not another address: who compares the two would want another account."""
    made = tenant()
    run(["ip", "-n", made.user, "addr", "flush", "dev", "eth0"])
    assert made.client.call("observe", part="network", spec=made.spec) is None
    assert made.client.call("ensure", part="network", spec=made.spec) == made.facts["network"]


def test_all_is_in_the_list_of_accounts(tenant: MakeTenant) -> None:
    """An account is found by any trace of it."""
    made = tenant()
    assert made.id in made.client.call("accounts")


def test_the_site_is_fit(lab_client: Client) -> None:
    """Every finding of the lab's site is green."""
    assert [one for one in lab_client.call("check") if not one["ok"]] == []


def test_the_site_knows_its_capacity(lab_client: Client) -> None:
    """Capacity is the machine's."""
    assert lab_client.call("capacity")["cpu_milli"] == (os.cpu_count() or 1) * 1000


def test_up_again_changes_nothing(lab: Lab) -> None:
    """Bringing a lab up that is up leaves its daemons alone."""
    before = lab.status()
    lab.up()
    assert lab.status() == before
