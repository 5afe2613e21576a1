"""A Linux site on a real lab: what holders and Tenure's own login can and cannot do, and what a lost host means."""

import contextlib
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TypeVar

import pytest

from providers.linux.site import LinuxSite
from providers.protocol import PARTS, Spec, TryLater, only
from providers.registry import connect
from tests.lab.host import IMAGE
from tests.lab.lab import Lab
from tests.lab.place import Unfit
from tests.providers.holders import Holder
from tests.providers.keys import make_key
from tests.providers.shown import Shown
from tests.providers.sites import lab_access, linux
from tests.providers.specs import spec

T = TypeVar("T")
GONE = 1 << 40


@pytest.fixture(scope="module")
def shown() -> Iterator[Shown]:
    try:
        with linux() as one:
            yield one
    except Unfit as missing:
        pytest.fail(str(missing), pytrace=False)


@pytest.fixture
def site(shown: Shown) -> LinuxSite:
    assert isinstance(shown.site, LinuxSite)
    return shown.site


@pytest.fixture
def account(site: LinuxSite) -> Iterator[Spec]:
    made = replace(spec(), images=(IMAGE,))
    yield made
    persist(lambda: site.fence([(made.account, GONE)], "operator"))
    persist(lambda: only(site.clean([(made.account, GONE)])))
    assert site.leftovers(made.account) == []


def persist(act: Callable[[], T], within: float = 60) -> T:
    """As a caller does: again, as long as the site says later."""
    until = time.monotonic() + within
    while True:
        try:
            return act()
        except TryLater as failed:
            if time.monotonic() > until:
                raise
            time.sleep(min(failed.after.total_seconds(), 1))


def live(site: LinuxSite, account: Spec) -> None:
    site.arm(account, site.now() + timedelta(minutes=10), 1)
    for part in PARTS:
        site.parts[part].ensure(account)
    site.open(account, timedelta(minutes=5), 1)


def test_a_minted_certificate_lets_its_holder_in(site: LinuxSite, account: Spec, tmp_path: Path) -> None:
    """With the stock client and nothing but what `issue` gave."""
    live(site, account)
    assert Holder(site, account, tmp_path).ssh("id", "-un").stdout == f"tn-{account.account}\n"


def test_a_container_runs_for_its_holder(site: LinuxSite, account: Spec, tmp_path: Path) -> None:
    """Usable means this."""
    live(site, account)
    assert Holder(site, account, tmp_path).ssh("run", IMAGE, "echo", "here").stdout == "here\n"


def test_the_holder_of_an_open_contract_gets_in(site: LinuxSite, account: Spec, tmp_path: Path) -> None:
    """Its end lies in 2999, at the site and in the certificate."""
    live(site, account)
    end = datetime(2999, 12, 31, tzinfo=UTC)
    site.arm(account, end, 2)
    assert Holder(site, account, tmp_path, end=end).ssh("id", "-un").stdout == f"tn-{account.account}\n"


def test_a_new_key_takes_the_old_one_s_place(site: LinuxSite, account: Spec, tmp_path: Path) -> None:
    """One principal at a time: the first certificate is refused once a second is out."""
    live(site, account)
    (tmp_path / "second").mkdir()
    first = Holder(site, account, tmp_path)
    second = Holder(site, account, tmp_path / "second")
    assert [first.ssh("true").returncode, second.ssh("true").returncode] == [255, 0]


def test_a_certificate_opens_one_account_only(site: LinuxSite, account: Spec, tmp_path: Path) -> None:
    """Neither root, nor Tenure's own login, nor another account."""
    live(site, account)
    holder = Holder(site, account, tmp_path)
    other = replace(account, account=spec().account)
    live(site, other)
    host = holder.given.login.split("@")[1]
    seen = [holder.ssh("id", login=f"{user}@{host}").returncode for user in ("root", f"tn-{other.account}")]
    site.fence([(other.account, GONE)], "operator")
    only(site.clean([(other.account, GONE)]))
    assert seen == [255, 255]


def test_after_a_fence_nobody_gets_in(site: LinuxSite, account: Spec, tmp_path: Path) -> None:
    """The certificate is still valid; its principal is gone."""
    live(site, account)
    holder = Holder(site, account, tmp_path)
    site.fence([(account.account, 2)], "operator")
    assert holder.ssh("true").returncode == 255


def test_a_lifted_fence_lets_the_same_key_in_again(site: LinuxSite, account: Spec, tmp_path: Path) -> None:
    """With a credential issued anew, as after a conversion."""
    live(site, account)
    first = Holder(site, account, tmp_path)
    site.fence([(account.account, 2)], "operator")
    site.unfence(account, 3, site.now() + timedelta(minutes=10))
    assert Holder(site, account, tmp_path, first.key).ssh("echo", "again").stdout == "again\n"


def test_nothing_is_forwarded(site: LinuxSite, account: Spec, tmp_path: Path) -> None:
    """A TCP forward to the site's own sshd is refused by it."""
    live(site, account)
    ran = Holder(site, account, tmp_path).ssh(options=("-W", "127.0.0.1:22"))
    assert "administratively prohibited" in ran.stderr


def test_tenure_s_own_login_starts_one_program(shown: Shown, site: LinuxSite, tmp_path: Path) -> None:
    """Whatever it asks for."""
    lab = Lab(site.name)
    settings, _ = lab_access(lab.place)
    pair = make_key()
    again = connect("linux", site.name, settings, {**lab_access(lab.place)[1], "operator_key": pair.private})
    again.prepare(dry_run=False)
    again.close()
    (tmp_path / "key").write_text(pair.private)
    (tmp_path / "key").chmod(0o600)
    (tmp_path / "known").write_text(f"{settings['address']} {settings['host_key']}\n")
    argv = ["ssh", "-F", "none", "-i", str(tmp_path / "key"), "-o", f"UserKnownHostsFile={tmp_path}/known"]
    argv += ["-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes", f"{settings['user']}@{settings['address']}", "id"]
    ran = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False, stdin=subprocess.DEVNULL)
    site.prepare(dry_run=False)
    assert ran.stdout.startswith('{"hello": ')


@pytest.mark.parametrize("delay", [0.002, 0.005, 0.01, 0.02, 0.04, 0.08])
def test_a_connection_lost_in_mid_work_loses_nothing(site: LinuxSite, account: Spec, delay: float) -> None:
    """Cut at some instant while parts are made: what exists is adopted, once, with one uid and one address."""
    site.arm(account, site.now() + timedelta(minutes=10), 1)
    cut = threading.Timer(delay, site.close)
    cut.start()
    with contextlib.suppress(TryLater):
        for part in PARTS:
            site.parts[part].ensure(account)
    cut.join()
    seen = {part: persist(partial(site.parts[part].ensure, account)) for part in PARTS}
    assert {part: site.parts[part].observe(account) for part in PARTS} == seen
    persist(lambda: site.open(account, timedelta(minutes=1), 1))


def test_after_a_reboot_the_site_is_found_again(site: LinuxSite, account: Spec, tmp_path: Path) -> None:
    """The kept connection is gone without a word; the account's limits are back, its holder gets in."""
    live(site, account)
    holder = Holder(site, account, tmp_path)
    before = {part: site.parts[part].observe(account) for part in PARTS}
    Lab(site.name).reboot()
    assert {part: persist(partial(site.parts[part].observe, account)) for part in PARTS} == before
    assert holder.ssh("echo", "back").stdout == "back\n"
