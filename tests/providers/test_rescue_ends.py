"""When the door for fetching after the end closes: by itself, by Tenure, and whatever is killed meanwhile."""

import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from tests.lab import program
from tests.lab.accounts import Tenant
from tests.lab.client import Answered, Client
from tests.lab.independent import listing
from tests.lab.killed import MOST, dies
from tests.lab.lab import Lab
from tests.lab.shell import stop, until
from tests.providers.holders import holder
from tests.providers.rescues import Session, allow, end, ended, knock, readers, sftp


def test_it_closes_by_itself(lab: Lab, lab_client: Client) -> None:
    """At its time the open session ends and nobody comes in any more; nobody asked the site to."""
    with ended(lab, lab_client, fetch_for=0) as one:
        over_at = allow(one, 3)
        idle = subprocess.Popen(one.ssh("-N"), stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        with Session(one) as session:
            assert session.over() >= over_at
        idle.wait(20)
        until(lambda: not readers(one), "the readers to go")
        assert sftp(one, "ls").returncode != 0
        assert Path(str(one.facts["access"]["principals"])).read_text() == ""


def test_it_closes_without_a_reaper_too(lab: Lab, lab_client: Client) -> None:
    """Whoever serves a session ends it, and sshd reads until when it may let anybody in."""
    with ended(lab, lab_client, fetch_for=0) as one:
        stop(lab.place, "reaper", signal.SIGKILL)
        try:
            allow(one, 3)
            with Session(one) as session:
                session.over()
            assert sftp(one, "ls").returncode != 0
        finally:
            program.start_reaper(lab.place)


def test_a_reboot_keeps_the_promise(lab: Lab, lab_client: Client, tmp_path: Path) -> None:
    """The lease is on disk; afterwards files are fetched and nothing else."""
    with ended(lab, lab_client) as one:
        lab.reboot()
        until(lambda: sftp(one, f"get results/data {tmp_path}/data").returncode == 0, "the site to be ready")
        assert knock(one, "id").returncode == 77


def left(tenant: Tenant, name: str, uid: int) -> list[str]:
    """What an independent listing finds, but for the key that this test made for its holder."""
    return [line for line in listing(tenant.place, name, uid) if str(tenant.place.path("keys")) not in line]


def test_a_reclaim_ends_who_fetches(lab: Lab, lab_client: Client) -> None:
    """Afterwards an independent listing is empty, with a session open when it began."""
    with ended(lab, lab_client) as one:
        with Session(one) as session:
            uid, name = one.uid, one.id
            for part in ("access", "containers", "network", "storage", "account"):
                one.client.call("remove", part=part, spec=one.spec)
            session.over()
        one.clean()
        assert left(one, name, uid) == []
        with pytest.raises(Answered):
            allow(one, 60)


def test_a_clean_alone_ends_who_fetches(lab: Lab, lab_client: Client) -> None:
    """As a reclaim does whose stack is gone already."""
    with ended(lab, lab_client) as one:
        with Session(one) as session:
            one.generation += 1
            one.client.call("clean", batch=[[one.id, one.generation]])
            session.over()
        assert left(one, one.id, one.uid) == []


def test_a_contract_ends_who_fetches_and_the_account_goes_on(lab: Lab, lab_client: Client) -> None:
    """The session ends, the new end stands, and the old one opens nothing."""
    with ended(lab, lab_client) as one:
        with Session(one) as session:
            one.generation += 1
            answer = one.client.call("unfence", account=one.id, end=time.time() + 300, generation=one.generation)
            assert "armed" in answer
            session.over()
        assert sftp(one, "ls").returncode != 0
        one.client.call("principal", account=one.id, principal=one.id, expires=time.time() + 300)
        assert one.login("cat results/data").stdout == "kept\n"


def test_an_operators_fence_opens_nothing_and_closes_what_is_open(lab: Lab, lab_client: Client) -> None:
    """Who was fenced by an operator gets their files from the operator, also after the end."""
    with holder(lab, lab_client) as one:
        one.fence("operator")
        with pytest.raises(Answered, match="operator"):
            allow(one, 60)
    with ended(lab, lab_client) as one:
        with Session(one) as session:
            one.fence("operator")
            session.over()
        assert sftp(one, "ls").returncode != 0


def test_before_the_end_and_past_grace_nothing_is_allowed(lab: Lab, lab_client: Client) -> None:
    """In use, and too late: each refused with its reason."""
    with holder(lab, lab_client) as one:
        with pytest.raises(Answered, match="in use"):
            allow(one, 60)
        end(one)
        with pytest.raises(Answered, match="grace"):
            allow(one, -1)


def test_the_end_and_the_door_may_come_together(lab: Lab, lab_client: Client) -> None:
    """Asked before the reaper has looked, the site fences first."""
    with holder(lab, lab_client) as one:
        one.generation += 1
        one.client.call("arm", account=one.id, end=time.time() + 0.01, generation=one.generation)
        until(lambda: _allowed(one), "the door")
        # who connects while the reaper still ends the account may have to connect again
        until(lambda: one.login("id").returncode == 77, "the gate")


def _allowed(one: Tenant) -> bool:
    try:
        allow(one, 60)
    except Answered:
        return False
    return True


def test_a_door_half_opened_opens_when_asked_again(lab: Lab, lab_client: Client) -> None:
    """Killed before each side effect, it is opened by the next request with the same key."""
    fatal, dying = 0, True
    while dying:
        fatal += 1
        assert fatal < MOST
        with ended(lab, lab_client, fetch_for=0) as one:
            dying = dies(lab.place, fatal, "rescue", account=one.id, principal=one.id, until=time.time() + 60)
            allow(one, 60)
            assert sftp(one, "ls").returncode == 0
    assert fatal > 3


def test_a_contract_cut_short_leaves_no_door_open(lab: Lab, lab_client: Client) -> None:
    """Killed before each side effect of lifting the fence: lifted by the next one, and nobody reads any more."""
    fatal, dying = 0, True
    while dying:
        fatal += 1
        assert fatal < MOST
        with ended(lab, lab_client) as one, Session(one) as session:
            request: dict[str, Any] = {"account": one.id, "end": time.time() + 600, "generation": one.generation + 1}
            dying = dies(lab.place, fatal, "unfence", **request)
            assert "armed" in lab_client.call("unfence", **request)
            one.generation += 1
            session.over()
            assert Path(str(one.facts["access"]["principals"])).read_text() == ""
    assert fatal > 3
