"""Containers through the gate on a real site: counted, confined, limited, and gone at the end."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from providers.host.onsite import cgroups
from tests.lab.accounts import Tenant
from tests.lab.client import Client
from tests.lab.fixtures import MakeTenant
from tests.lab.independent import listing
from tests.lab.lab import Lab
from tests.lab.shell import until
from tests.providers.holders import IMAGE, Terminal, holder

RUN = f"container run -d {IMAGE} sleep 1000"
CGROUPS = Path("/sys/fs/cgroup")


@pytest.fixture(scope="module")
def tenant_in(lab: Lab, lab_client: Client) -> Iterator[Tenant]:
    with holder(lab, lab_client) as tenant:
        yield tenant


@pytest.fixture
def one(tenant_in: Tenant) -> Iterator[Tenant]:
    """An account without containers, before and after."""
    yield tenant_in
    tenant_in.login("container rm -f --all")


def said(tenant: Tenant, command: str) -> str:
    """What the command printed; it must have worked."""
    ran = tenant.login(command)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.strip()


def test_one_container_more_is_refused(one: Tenant) -> None:
    """The offer's number of containers run; the next is refused and the limit named, until one is stopped."""
    first, _ = said(one, RUN), said(one, RUN)
    refused = one.login(RUN)
    assert refused.returncode != 0
    assert "limit is 2 running containers" in refused.stderr
    assert "套餐上限" in refused.stderr
    said(one, f"container stop -t 0 {first}")
    said(one, RUN)


def test_counting_holds_against_a_rush(one: Tenant) -> None:
    """Eight at once for two places: exactly two run."""
    with ThreadPoolExecutor(8) as pool:
        codes = list(pool.map(lambda _: one.login(RUN).returncode, range(8)))
    assert sorted(code == 0 for code in codes) == [False] * 6 + [True] * 2


@pytest.mark.skipif(cgroups.tree().flavour != "v1", reason="cgroup v2 counts them as memory")
def test_a_containers_socket_buffers_are_counted(one: Tenant) -> None:
    """cgroup v1 counts them only where a limit stands: a container has its account's."""
    name = said(one, RUN)
    top = CGROUPS / "memory" / one.place.cgroup / one.id
    limits = [(folder / cgroups.BUFFER_KNOB).read_text() for folder in (top, top / f"libpod-{name}")]
    assert limits[0] == limits[1]


def test_an_attached_container_counts_too(one: Tenant) -> None:
    """One that a terminal is attached to takes a place like any other."""
    terminal = Terminal(one)
    terminal.expect("$ ")
    terminal.type(f"container run -it {IMAGE} sh -c 'echo in; read x; exit $x'; echo =$?\n")
    terminal.expect("in\r\n")
    said(one, RUN)
    assert one.login(RUN).returncode != 0
    terminal.type("9\n")
    terminal.expect("=9\r\n")
    terminal.type("exit\n")
    terminal.end()


def test_an_image_outside_the_offer_is_refused(one: Tenant) -> None:
    """Only the offer's images run."""
    refused = one.login("container run docker.io/library/alpine true")
    assert refused.returncode != 0
    assert IMAGE in refused.stderr


@pytest.mark.parametrize("option", ["--privileged", "-v /:/host", "--pid host", "--network host", "--user 0"])
def test_privilege_and_host_mounts_are_refused(one: Tenant, option: str) -> None:
    """What would reach the host is refused by name, and nothing is started."""
    refused = one.login(f"container run {option} {IMAGE} true")
    assert refused.returncode != 0
    assert option.split()[0] in refused.stderr
    assert IMAGE not in said(one, "container list")


def test_another_accounts_containers_are_not_there(one: Tenant, lab: Lab, lab_client: Client) -> None:
    """Somebody else's container cannot be listed, entered, read, stopped or removed by its name."""
    with holder(lab, lab_client) as other:
        said(other, f"container run -d --name theirs {IMAGE} sleep 1000")
        assert "theirs" not in said(one, "container list")
        for command in ("exec theirs true", "logs theirs", "stop theirs", "rm -f theirs"):
            one.login(f"container {command}")
        assert "Up" in said(other, "container list")


def test_a_container_is_confined_as_seen_from_the_host(one: Tenant) -> None:
    """Not root on the host, no capability, filtered, in the account's cgroup and network."""
    name = said(one, RUN)
    folder = CGROUPS / "pids" if (CGROUPS / "pids").is_dir() else CGROUPS
    (pid,) = (folder / one.place.cgroup / one.id / f"libpod-{name}/cgroup.procs").read_text().split()
    status = dict(line.split(":\t") for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":\t" in line)
    assert status["Uid"].split() == [str(one.uid)] * 4
    assert {int(status[name], 16) for name in ("CapEff", "CapPrm", "CapBnd", "CapInh")} == {0}
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
    assert os.stat(f"/proc/{pid}/ns/net").st_ino == os.stat(f"/run/netns/{one.user}").st_ino


def test_a_container_has_home_and_models(one: Tenant) -> None:
    """The home is at /work and can be written, a model can only be read."""
    run = f"container run --rm {IMAGE}"
    said(one, "echo mine > ~/file")
    assert said(one, f"{run} cat /work/file /models/tiny/weights") == "mine\na model's weights"
    assert one.login(f"{run} sh -c 'echo x > /models/tiny/x'").returncode != 0


def test_a_nested_subvolume_is_refused_in_a_container(one: Tenant) -> None:
    """The filter of containers denies what would have no quota, to a real btrfs program too."""
    said(one, "mkdir -p ~/b && cp /usr/bin/btrfs $(ldd /usr/bin/btrfs | grep -o '/[^ ]*') ~/b")
    loader = "$(echo /work/b/ld-linux*)"
    ran = one.login(
        f"container run --rm {IMAGE} sh -c '{loader} --library-path /work/b /work/b/btrfs subv create /work/n'"
    )
    assert "cannot create subvolume" in ran.stderr
    assert not (one.folder / "home/n").exists()


def test_containers_are_listed_entered_read_stopped_and_removed(one: Tenant) -> None:
    """A container's whole life, by its name."""
    said(one, f"container run -d --name job -e WHAT=hello {IMAGE} sh -c 'echo $WHAT; sleep 1000'")
    assert "job" in said(one, "container list")
    assert said(one, "container exec job id -u") == str(one.uid)
    until(lambda: said(one, "container logs job") == "hello", "the container's words")
    assert one.login("container exec job sh -c 'exit 9'").returncode == 9
    said(one, "container stop -t 0 job")
    assert "Exited" in said(one, "container list")
    said(one, "container rm job")
    assert "job" not in said(one, "container list")
    assert list((one.folder / "logs").iterdir()) == []


def test_the_confined_shell_has_the_same_command(one: Tenant) -> None:
    """In a script the same commands work, pipes and exit statuses included."""
    script = f"echo in | container run -i --rm {IMAGE} sh -c 'cat; exit 3' | tr i o; echo ${{PIPESTATUS[1]}}"
    assert said(one, script).split() == ["on", "3"]


def test_a_command_that_cannot_start_leaves_no_container(one: Tenant) -> None:
    """What podman could not start is not in the way afterwards."""
    assert one.login(f"container run {IMAGE} nosuchcommand").returncode == 127
    assert IMAGE not in said(one, "container list")


def test_a_name_is_taken_once(one: Tenant) -> None:
    """A second container of the same name is refused and the first one stays."""
    said(one, f"container run -d --name same {IMAGE} sleep 1000")
    assert one.login(f"container run -d --name same {IMAGE} sleep 1000").returncode != 0
    assert "Up" in said(one, "container list")


def test_stopped_containers_cannot_pile_up(tenant_in: Tenant) -> None:
    """podman's records are outside the quota, so their number is limited."""
    tenant_in.login(f"for i in $(seq 40); do container run {IMAGE} true; done")
    refused = tenant_in.login(f"container run {IMAGE} true")
    tenant_in.login("container rm --all")
    assert "34 containers exist" in refused.stderr


@pytest.mark.parametrize("where", ["", f"container run --rm {IMAGE} "])
def test_memory_holds(one: Tenant, where: str) -> None:
    """More memory than the account's is not to be had, neither in a shell nor in a container."""
    assert one.login(f"{where}dd if=/dev/zero of=/dev/null bs=400M count=1").returncode != 0
    said(one, f"{where}dd if=/dev/zero of=/dev/null bs=100M count=1")


def test_pids_hold_and_a_full_account_can_still_stop_things(one: Tenant) -> None:
    """A container that forks without end fills the account's pids, and its holder can still remove it."""
    bomb = """'sh -c "while :; do sleep 1000 & done"; exec sleep 1000'"""
    said(one, f"container run -d --name bomb {IMAGE} sh -c {bomb}")
    pids = CGROUPS / ("pids" if (CGROUPS / "pids").is_dir() else "") / one.place.cgroup / one.id
    most = int((pids / "pids.max").read_text())
    until(lambda: int((pids / "pids.current").read_text()) >= most - 4, "the account's pids to be used up")
    assert int((pids / "pids.current").read_text()) <= most + 1  # the gate's own first step
    said(one, "container rm -f bomb")


def test_after_a_fence_podman_knows_that_containers_ended(lab: Lab, lab_client: Client) -> None:
    """A container killed by the fence is listed as exited once the fence is lifted, and can be removed."""
    with holder(lab, lab_client) as fenced:
        said(fenced, f"container run -d --name job {IMAGE} sleep 1000")
        end = fenced.client.call("now")["now"] + 600
        fenced.fence()
        fenced.generation += 1
        fenced.client.call("unfence", account=fenced.id, generation=fenced.generation, end=end)
        fenced.client.call("principal", account=fenced.id, principal=fenced.id, expires=end)
        assert "Exited (137)" in said(fenced, "container list")
        said(fenced, "container rm job")


def test_nothing_is_left_after_a_clean(lab: Lab, lab_client: Client) -> None:
    """Running, stopped and attached containers and an open terminal: an independent listing finds none of it."""
    with holder(lab, lab_client) as gone:
        said(gone, RUN)
        said(gone, f"container run {IMAGE} true")
        terminal = Terminal(gone)
        terminal.expect("$ ")
        terminal.type(f"container run -it {IMAGE} sh\n")
        terminal.expect("BusyBox")
        gone.clean()
        terminal.end()
        keys = str(gone.place.path("keys"))  # the holder's own, not the host's
        assert [one for one in listing(gone.place, gone.id, gone.uid) if keys not in one] == []


def test_removing_containers_twice_is_once(lab_client: Client, tenant: MakeTenant) -> None:
    """The part can be removed when it is gone already, and made again."""
    made = tenant()
    for _ in range(2):
        lab_client.call("remove", part="containers", spec=made.spec)
    assert lab_client.call("observe", part="containers", spec=made.spec) is None
    assert lab_client.call("ensure", part="containers", spec=made.spec)["containers"] == 2
