"""The storage limit holds wherever a holder can write, to the byte that btrfs counts."""

from collections.abc import Iterator

import pytest

from tests.lab.accounts import MIB, Tenant
from tests.lab.client import Client
from tests.lab.lab import Lab
from tests.lab.shell import run, until
from tests.providers.holders import IMAGE, holder

LIMIT = 48 * MIB
RECORDS = MIB
"""What folders, records and a container's own files may take of the limit."""


@pytest.fixture(scope="module")
def tenant_in(lab: Lab, lab_client: Client) -> Iterator[Tenant]:
    with holder(lab, lab_client) as tenant:
        yield tenant


@pytest.fixture
def one(tenant_in: Tenant) -> Iterator[Tenant]:
    """An account with empty storage, before and after: btrfs gives space back with its next commit."""
    run(["btrfs", "filesystem", "sync", str(tenant_in.place.path("pool"))])
    yield tenant_in
    tenant_in.login("container rm -f --all; rm -rf ~/* /tmp/* /var/tmp/* /dev/shm/*")


def used(tenant: Tenant) -> int:
    """Bytes in the account's quota group."""
    rows = run(["btrfs", "qgroup", "show", "--raw", "--sync", str(tenant.place.path("pool"))]).splitlines()
    return next(int(row.split()[1]) for row in rows if row.split()[:1] == [f"1/{tenant.uid}"])


FILL = "dd if=/dev/zero of={} bs=64k"


@pytest.mark.parametrize("path", ["~/full", "/tmp/full", "/var/tmp/full", "/dev/shm/full"])
def test_a_shells_write_past_the_limit_fails(one: Tenant, path: str) -> None:
    """Home and every temporary folder take the limit and not a byte more."""
    ran = one.login(f"{FILL.format(path)}; stat -c %s {path}")
    assert "Disk quota exceeded" in ran.stderr
    assert LIMIT - RECORDS <= int(ran.stdout) <= LIMIT
    assert used(one) <= LIMIT


@pytest.mark.parametrize("path", ["/tmp/full", "/work/full"])
def test_a_containers_write_past_the_limit_fails(one: Tenant, path: str) -> None:
    """A container's layer and the home it sees take the limit and not a byte more."""
    ran = one.login(f"container run --rm {IMAGE} sh -c '{FILL.format(path)}; cat {path} | dd of=/dev/null bs=1M'")
    assert "Disk quota exceeded" in ran.stderr
    assert used(one) <= LIMIT


def test_a_containers_log_stays_within_the_limit(one: Tenant) -> None:
    """With the storage all but full a container that talks without end does not get past the limit."""
    one.login(f"container run -d --name talk {IMAGE} sh -c 'until [ -e /work/go ]; do sleep 0.1; done; yes'")
    one.login(f"head -c {LIMIT - 2 * MIB} /dev/zero > ~/most; touch ~/go")
    log = one.folder / "logs/talk.log"
    until(lambda: used(one) > LIMIT - MIB // 4, "the log to fill what is left")
    assert log.stat().st_size >= MIB // 2
    assert used(one) <= LIMIT


def test_a_containers_log_is_bounded(one: Tenant) -> None:
    """With room left a log takes no more than its share of the storage."""
    one.login(
        f"container run {IMAGE} sh -c 'yes 0123456789012345678901234567890123456789 | head -c 30000000' > /dev/null"
    )
    assert 0 < used(one) <= LIMIT // 4 + RECORDS


def test_a_full_account_can_stop_and_remove(one: Tenant) -> None:
    """podman's records are outside the quota: with no byte left a container is still stopped and removed."""
    one.login(f"container run -d --name job {IMAGE} sleep 1000")
    one.login(f"{FILL.format('~/full')}; {FILL.format('~/more')} bs=1")
    assert one.login("container stop -t 0 job").returncode == 0
    assert one.login("container rm job").returncode == 0
    assert "job" not in one.login("container list").stdout
