"""Something of the site's own is frozen, perhaps while it holds an account's lease: no account lives on for that."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

from providers.linux.site import LinuxSite
from providers.registry import connect
from tests.lab.accounts import Tenant
from tests.lab.fixtures import MakeTenant
from tests.lab.lab import Lab
from tests.lab.program import described
from tests.lab.shell import pid_of, until
from tests.providers.keys import make_key
from tests.providers.test_onsite_fence import busy, principals, processes, without_reaper


@pytest.fixture
def site(lab: Lab) -> Iterator[LinuxSite]:
    """The lab as Tenure reaches it."""
    secrets = {"operator_key": lab.place.path("keys/operator").read_text(), "ca_key": make_key().private}
    with closing(connect("linux", lab.place.name, described(lab.place), secrets)) as made:
        assert isinstance(made, LinuxSite)
        yield made


HOLD = """
import sys
from providers.host.onsite import config, lock
with lock.lease(config.load(sys.argv[1]), sys.argv[2]):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def held(tenant: Tenant) -> Iterator[None]:
    """Its lease is in the hands of a process that does not go on; a killed one lets go."""
    config = str(tenant.place.path("etc/config.json"))
    with subprocess.Popen([sys.executable, "-c", HOLD, config, tenant.id], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        try:
            yield
        finally:
            holder.kill()


def test_tenures_fence_cuts_what_a_frozen_reaper_holds(lab: Lab, tenant: MakeTenant) -> None:
    """Of two that ended, the one that nobody holds is fenced; the other is cut, and acknowledged once it is let go."""
    stuck, other = (one.open(duration=6) for one in (tenant(), tenant()))
    batch = [[stuck.id, 2], [other.id, 2]]
    with without_reaper(lab), busy(stuck, "sleep", "600"), busy(other, "sleep", "600"):
        with held(stuck):
            until(lambda: time.time() > max(stuck.ends_at, other.ends_at), "their ends")
            first, second = stuck.client.call("fence", within=15, batch=batch, by="end")
            assert "held by another" in first["error"]["message"]
            assert second["at"] > 0
            assert [processes(one) or principals(one) for one in (stuck, other)] == ["", ""]
        assert [row["account"] for row in stuck.client.call("fence", batch=batch, by="end") if "at" in row] == [
            stuck.id, other.id]


def test_the_reaper_cuts_what_is_held(tenant: MakeTenant) -> None:
    """The same where Tenure is away; the record comes once the lease is let go."""
    stuck, other = (one.open(duration=6) for one in (tenant(), tenant()))
    with busy(stuck, "sleep", "600"), busy(other, "sleep", "600"):
        with held(stuck):
            until(lambda: not any(processes(one) or principals(one) for one in (stuck, other)), "both cut", 20)
        path = stuck.place.path(f"state/leases/{stuck.id}.json")
        until(lambda: '"fenced": {' in path.read_text(), "the record of the fence")


@pytest.mark.parametrize("by", ["end", "operator"])
def test_before_its_end_nothing_is_cut_that_is_held(tenant: MakeTenant, by: str) -> None:
    """Its end may be being moved at this moment: the fence is not acknowledged, and the holder works on."""
    stuck = tenant().open()
    with busy(stuck, "sleep", "600"), held(stuck):
        [row] = stuck.client.call("fence", within=15, batch=[[stuck.id, 2]], by=by)
        assert "held by another" in row["error"]["message"]
        assert processes(stuck) != []


def test_a_frozen_reaper_is_found_out(site: LinuxSite, lab: Lab) -> None:
    """It is there, and does nothing: one that beat lately is well, one that has not is to be started anew."""
    pid, beat = pid_of(lab.place, "reaper"), lab.place.run / "reaper"
    assert pid is not None
    assert site.reaper().ok
    os.kill(pid, signal.SIGSTOP)
    try:
        long_ago = time.time() - 60
        os.utime(beat, (long_ago, long_ago))
        found = site.reaper()
        assert (found.ok, "restart" in found.remedy) == (False, True)
        assert [one.subject for one in site.check() if not one.ok] == ["reaper"]
    finally:
        os.kill(pid, signal.SIGCONT)
    until(lambda: site.reaper().ok, "the reaper's next beat")
