"""Fences on a real host: by Tenure, by the site's own reaper, after a reboot. Nothing is deleted, nothing survives."""

import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.lab import program
from tests.lab.accounts import Tenant, clean
from tests.lab.client import Answered, Client
from tests.lab.fixtures import MakeTenant
from tests.lab.lab import Lab
from tests.lab.shell import pid_of, run, stop, until
from tests.lab.traffic import Sink, send

FORKING = "import os, time\nwhile True:\n    if os.fork():\n        time.sleep(0.002)\n"


def processes(tenant: Tenant) -> list[str]:
    """Processes of the account's uid, zombies aside."""
    rows = run(["ps", "-e", "-o", "uid=,stat=,pid="]).splitlines()
    return [row for row in rows if row.split()[0] == str(tenant.uid) and "Z" not in row.split()[1]]


@contextmanager
def busy(tenant: Tenant, *argv: str) -> Iterator[None]:
    """Something of the holder's runs."""
    process = subprocess.Popen(tenant.inside(*argv), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until(lambda: bool(processes(tenant)), "the holder's process")
    try:
        yield
    finally:
        process.kill()
        process.wait()


@contextmanager
def without_reaper(lab: Lab) -> Iterator[None]:
    stop(lab.place, "reaper", signal.SIGKILL)
    try:
        yield
    finally:
        program.start_reaper(lab.place)


@contextmanager
def session(tenant: Tenant, command: str, *options: str) -> Iterator[Callable[[], str]]:
    """A login that stays open, and what it has shown; "closed" once it has ended."""
    with tempfile.TemporaryFile("w+b") as screen:
        process = subprocess.Popen(
            [*tenant.ssh(*options), command], stdin=subprocess.PIPE, stdout=screen, stderr=subprocess.DEVNULL
        )

        def shown() -> str:
            ended = "" if process.poll() is None else "closed"
            return os.pread(screen.fileno(), 1 << 16, 0).decode() + ended

        try:
            yield shown
        finally:
            process.kill()
            process.wait(20)


def principals(tenant: Tenant) -> str:
    return Path(str(tenant.facts["access"]["principals"])).read_text()


def fenced_interfaces(lab: Lab) -> str:
    return run([*lab.place.inside, "nft", "list", "set", "inet", lab.place.nft_table, "fenced"])


def test_a_fence_empties_the_principals(tenant: MakeTenant) -> None:
    """sshd finds nobody to let in."""
    made = tenant().open()
    made.fence()
    assert principals(made) == ""


def test_a_fence_refuses_a_login(tenant: MakeTenant) -> None:
    """A certificate that is still valid opens nothing."""
    made = tenant().open()
    assert made.login("true").returncode == 0
    made.fence()
    assert made.login("true").returncode == 255


def test_a_fence_ends_an_open_session(tenant: MakeTenant) -> None:
    """A session that was open is cut, shell and all."""
    made = tenant().open()
    with session(made, "echo in; sleep 600; echo out") as shown:
        until(lambda: "in" in shown(), "the session")
        made.fence()
        until(lambda: "closed" in shown(), "the session's end")


def test_a_fence_outruns_a_forking_process(tenant: MakeTenant) -> None:
    """Processes that make new ones all the time are all gone when the fence has answered."""
    made = tenant().open()
    with busy(made, "python3", "-c", FORKING):
        made.fence()
        assert processes(made) == []


def test_a_fence_finds_a_process_outside_of_the_cgroup(tenant: MakeTenant) -> None:
    """A stray process of the uid dies too, wherever it is counted."""
    made = tenant().open()
    stray = subprocess.Popen(["setpriv", f"--reuid={made.uid}", "--clear-groups", "sleep", "600"])
    until(lambda: bool(processes(made)), "the stray process")
    made.fence()
    assert stray.wait(20) == -signal.SIGKILL


def test_a_fence_stops_containers_and_keeps_them(tenant: MakeTenant) -> None:
    """A container's processes are gone, its record stays, and podman knows that it has ended."""
    made = tenant().open()
    assert made.login("container run -d --name x localhost/busybox:1 sleep 600").returncode == 0
    made.fence()
    assert processes(made) == []
    made.generation += 1
    made.client.call("unfence", account=made.id, generation=made.generation, end=time.time() + 600)
    made.client.call("principal", account=made.id, principal=made.id, expires=time.time() + 600)
    assert "Exited (137)" in made.login("container list").stdout


def test_a_fence_drops_packets(lab: Lab, tenant: MakeTenant) -> None:
    """The account's interface is among those whose packets are dropped."""
    made = tenant().open()
    made.fence()
    assert f"v{made.id}" in fenced_interfaces(lab)


def test_a_fence_leaves_nothing_for_cron_and_at(tenant: MakeTenant) -> None:
    """What would start later is gone."""
    made = tenant().open()
    crontab, job = Path("/var/spool/cron/crontabs") / made.user, Path("/var/spool/cron/atjobs") / f"a{made.uid:05x}"
    for path in (crontab, job):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("* * * * * true\n")
        os.chown(path, made.uid, made.uid)
    made.fence()
    assert not crontab.exists()
    assert not job.exists()


def test_a_fence_deletes_no_data(tenant: MakeTenant) -> None:
    """What the holder stored is there after the fence."""
    made = tenant().open()
    (made.folder / "home/kept").write_text("mine")
    made.fence()
    assert (made.folder / "home/kept").read_text() == "mine"


def test_fenced_twice_is_fenced_once(tenant: MakeTenant) -> None:
    """The second fence answers with the first one's instant."""
    made = tenant().open()
    assert made.fence() == made.fence()


def test_ensure_lifts_no_fence(lab: Lab, tenant: MakeTenant) -> None:
    """Repairing a fenced account's parts lets neither logins nor packets through."""
    made = tenant().open()
    made.fence()
    for part in ("account", "storage", "network", "containers", "access"):
        made.client.call("ensure", part=part, spec=made.spec)
    assert principals(made) == ""
    assert f"v{made.id}" in fenced_interfaces(lab)


def test_an_unfenced_account_works_again(tenant: MakeTenant) -> None:
    """After an operator's fence is lifted, a principal that is issued anew logs in."""
    made = tenant().open()
    made.fence()
    made.generation += 1
    end = time.time() + 600
    made.client.call("unfence", account=made.id, generation=made.generation, end=end)
    made.client.call("principal", account=made.id, principal=made.id, expires=end)
    assert made.login("echo hello").stdout == "hello\n"


def test_a_fence_is_not_lifted_to_an_end_that_has_passed(tenant: MakeTenant) -> None:
    """The site answers with the fence."""
    made = tenant().open()
    at = made.fence()["at"]
    made.generation += 1
    answer = made.client.call("unfence", account=made.id, generation=made.generation, end=time.time() - 1)
    assert answer == {"fenced": {"at": at, "by": "operator"}}


def test_one_account_of_a_batch_spoils_no_other(tenant: MakeTenant) -> None:
    """A stale fence in a batch is answered as such, and the others are fenced."""
    good, stale = tenant().open(), tenant().open()
    stale.client.call("arm", account=stale.id, end=time.time() + 900, generation=9)
    good.generation, stale.generation = 2, 9
    answers = good.client.call("fence", batch=[[stale.id, 3], [good.id, 2]], by="operator")
    assert answers[0]["error"]["kind"] == "stale"
    assert "at" in answers[1]


def test_the_site_ends_an_account_alone(tenant: MakeTenant) -> None:
    """At the end, with nobody asking, the reaper fences: logins shut, processes gone."""
    made = tenant().open(duration=2)
    with busy(made, "python3", "-c", FORKING):
        until(lambda: principals(made) == "" and not processes(made), "the reaper's fence")
    assert made.client.call("arm", account=made.id, end=time.time() + 60, generation=2)["fenced"]["by"] == "end"


def test_a_reaper_that_was_dead_fences_what_is_overdue(lab: Lab, tenant: MakeTenant) -> None:
    """An end that came while nobody watched is enforced as soon as the reaper is back."""
    with without_reaper(lab):
        made = tenant().open(duration=0.5)
        with busy(made, "sleep", "600"):
            until(lambda: time.time() > made.ends_at, "the end")
            program.start_reaper(lab.place)
            until(lambda: not processes(made), "the reaper's fence")


def test_a_late_arm_finds_the_account_fenced(lab: Lab, tenant: MakeTenant) -> None:
    """With the reaper dead, an extension after the end is answered by the fence that it brings about."""
    with without_reaper(lab):
        made = tenant().open(duration=0.2)
        with busy(made, "sleep", "600"):
            until(lambda: time.time() > made.ends_at, "the end")
            answer = made.client.call("arm", account=made.id, end=time.time() + 600, generation=2)
            assert answer["fenced"]["by"] == "end"
            assert processes(made) == []


def test_an_extension_before_the_end_holds(tenant: MakeTenant) -> None:
    """An account whose end was moved goes on past the old one."""
    made = tenant().open(duration=1)
    made.generation = 2
    made.client.call("arm", account=made.id, end=time.time() + 600, generation=2)
    with busy(made, "sleep", "600"):
        until(lambda: time.time() > made.ends_at + 0.5, "the old end to pass")
        assert processes(made) != []


def test_a_broken_lease_delays_no_other(lab: Lab, tenant: MakeTenant) -> None:
    """The reaper fences an account beside whose lease another cannot be read, and cuts that one off."""
    broken, good = tenant().open(), tenant().open(duration=2)
    file = lab.place.path("state/leases") / f"{broken.id}.json"
    with busy(broken, "sleep", "600"), busy(good, "sleep", "600"):
        aside = file.with_suffix(".new")
        aside.write_text("{")
        aside.rename(file)
        until(lambda: not processes(good) and not processes(broken), "the reaper's fence")


def test_a_full_disk_keeps_no_account_alive(lab: Lab, tenant: MakeTenant) -> None:
    """Where nothing can be written any more, the end still cuts logins and processes; only the record waits."""
    made = tenant().open(duration=2)
    leases = str(lab.place.path("state/leases"))
    with busy(made, "sleep", "600"):
        run(["chattr", "+i", leases])
        try:
            until(lambda: principals(made) == "" and not processes(made), "the reaper's fence")
        finally:
            run(["chattr", "-i", leases])
    until(lambda: '"fenced": {' in (Path(leases) / f"{made.id}.json").read_text(), "the record of the fence")


def test_the_same_account_twice_in_a_batch_is_fenced_once(tenant: MakeTenant) -> None:
    """The higher of its generations counts."""
    made = tenant().open()
    made.generation = 5
    answers = made.client.call("fence", batch=[[made.id, 4], [made.id, 5]], by="operator")
    assert answers[0] == answers[1]


def test_the_reaper_kills_what_starts_after_the_fence(tenant: MakeTenant) -> None:
    """A process that was on its way into a fenced account's cgroup does not stay."""
    made = tenant().open()
    made.fence()
    late = subprocess.Popen(made.inside("sleep", "600"))
    assert late.wait(20) == -signal.SIGKILL


def test_only_one_reaper_runs(lab: Lab) -> None:
    """A second reaper waits for the first one's lock and does nothing."""
    second = subprocess.Popen([*lab.place.inside, *program.argv(lab.place, "reaper")], stderr=subprocess.DEVNULL)
    try:
        until(lambda: (lab.place.run / "locks/reaper").exists(), "the lock")
        assert int((lab.place.run / "reaper").read_text()) == pid_of(lab.place, "reaper")
    finally:
        second.kill()
        second.wait()


def test_a_reboot_brings_limits_back_before_logins(lab: Lab, tenant: MakeTenant) -> None:
    """After a reboot in mid-lease the limits stand as before, without Tenure."""
    made = tenant().open()
    lab.reboot()
    until(lambda: (lab.place.run / f"{made.id}.ready").exists(), "the limits")
    for part in ("account", "storage", "network"):
        assert made.client.call("observe", part=part, spec=made.spec) == made.facts[part]


def test_a_login_works_after_a_reboot(lab: Lab, tenant: MakeTenant) -> None:
    """The holder comes back in, and containers start."""
    made = tenant().open()
    lab.reboot()
    until(lambda: (lab.place.run / f"{made.id}.ready").exists(), "the limits")
    ran = made.login("container run --rm localhost/busybox:1 echo hello")
    assert ran.stdout == "hello\n", ran.stderr


def test_nobody_gets_in_before_the_limits_are_back(lab: Lab, tenant: MakeTenant) -> None:
    """With the account's limits lost and not restored, the gate stays shut."""
    made = tenant().open()
    with without_reaper(lab):
        (lab.place.run / f"{made.id}.ready").unlink()
        assert made.login("echo in").stdout == ""


def test_a_reboot_does_not_refill_the_egress_quota(lab: Lab, tenant: MakeTenant) -> None:
    """What was sent before the reboot still counts after it."""
    made, sink = tenant(egress=150_000).open(), Sink(lab.place.machine_address)
    send(made, sink, 100)
    until(lambda: made.used("egress") == 100_000, "the meters")
    lab.reboot()
    until(lambda: (lab.place.run / f"{made.id}.ready").exists(), "the limits")
    send(made, sink, 100)
    assert sink.received() == 150


def test_an_account_fenced_before_a_reboot_stays_fenced(lab: Lab, tenant: MakeTenant) -> None:
    """The drop of a fence comes back with the limits."""
    made = tenant().open()
    made.fence()
    lab.reboot()
    until(lambda: f"v{made.id}" in fenced_interfaces(lab), "the drop")
    assert principals(made) == ""


def test_an_end_during_the_reboot_is_enforced(lab: Lab, tenant: MakeTenant) -> None:
    """An account whose end passed while the host was down is fenced before sshd starts."""
    stop(lab.place, "reaper")
    made = tenant().open(duration=0.5)
    until(lambda: time.time() > made.ends_at, "the end")
    assert principals(made) != ""
    lab.reboot(before_sshd=lambda: until(lambda: principals(made) == "", "the reaper's fence"))
    assert made.login("true").returncode == 255


def test_a_notice_is_shown_at_the_next_login(tenant: MakeTenant) -> None:
    """A warning waits for the holder to log in with a terminal."""
    made = tenant().open()
    made.client.call("notice", account=made.id, text="This account ends in 10 minutes.")
    shown = subprocess.run(made.ssh("-tt"), input="exit\n", capture_output=True, text=True, timeout=60, check=False)
    assert "This account ends in 10 minutes." in shown.stdout


def test_a_notice_reaches_an_open_terminal(tenant: MakeTenant) -> None:
    """A warning appears in the session that is open."""
    made = tenant().open()
    with session(made, "echo in; sleep 600", "-tt") as shown:
        until(lambda: "in" in shown(), "the session")
        made.client.call("notice", account=made.id, text="It is time.")
        until(lambda: "It is time." in shown(), "the notice")


def test_an_account_in_use_is_not_cleaned(tenant: MakeTenant) -> None:
    """Clean refuses before the end and without a fence."""
    made = tenant().open()
    with pytest.raises(Answered, match="fence it first"):
        clean(made.client, (made.id, 2))


def test_clean_finds_what_a_holder_left(tenant: MakeTenant) -> None:
    """Cron, at, mail, files and sockets in open folders, shared memory, nested subvolumes: listed, removed, gone."""
    made = tenant().open()
    planted = plant(made)
    made.fence()
    (Path("/var/spool/cron/crontabs") / made.user).write_text("* * * * * true\n")
    left = {what for _, what in made.leftovers()}
    assert [one for one in planted if one not in left] == []
    made.clean()
    assert made.leftovers() == []


def plant(made: Tenant) -> list[str]:
    """Traces of the uid all over the host; what the listing must show for each."""
    files = [Path(folder) / f"left-{made.id}" for folder in ("/tmp", "/var/tmp", "/dev/shm", "/var/mail")]
    for file in files:
        file.write_text("left")
        os.chown(file, made.uid, made.uid)
    mail = Path("/var/mail") / made.user
    files[-1].rename(mail)
    (made.folder / "tmp" / os.fsdecode(b"no utf-8 \xff")).touch()
    odd = Path("/tmp") / os.fsdecode(f"odd-{made.id}".encode() + b" \xff\n")
    odd.touch()
    os.chown(odd, made.uid, made.uid)
    setuid = Path("/tmp") / f"setuid-{made.id}"
    setuid.mkdir()
    (setuid / "inside").symlink_to("/etc/passwd")
    os.chown(setuid, made.uid, made.uid)
    run(made.inside("btrfs", "subvolume", "create", str(made.folder / "home/nested")))
    shared = run(made.inside("ipcmk", "--shmem", "4096")).split()[-1]
    return [*map(str, files[:-1]), str(mail.resolve()), str(setuid), f"shm {shared}"]


def test_a_listing_that_fails_is_a_leftover(lab: Lab, lab_client: Client, tenant: MakeTenant) -> None:
    """Without the pool nobody can say that the storage is gone: the account is not shown empty."""
    made = tenant()
    made.clean()
    pool = lab.place.path("pool")
    run(["umount", "--lazy", str(pool)])
    try:
        left = lab_client.call("leftovers", account=made.id)
    finally:
        run(["mount", "-o", "loop,nodev,nosuid,noatime", str(lab.place.path("pool.img")), str(pool)])
    assert {one["kind"] for one in left if one["unlisted"]} == {"storage", "quota group"}


def test_clean_after_a_half_made_account(lab_client: Client, lab: Lab) -> None:
    """An account of which only a part came to be is cleaned away like any other."""
    from tests.lab.accounts import new_id, spec

    account = new_id()
    lab_client.call("arm", account=account, end=time.time() + 600, generation=1)
    lab_client.call("ensure", part="account", spec=spec(account))
    clean(lab_client, (account, 2))
    assert lab_client.call("leftovers", account=account) == []
    assert account not in lab_client.call("accounts")
