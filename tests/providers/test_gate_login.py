"""A holder's login on a real site: what it sees, what it cannot do, when it is refused."""

import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from providers.host.onsite import boot, gate, lease, paths, sandbox
from providers.host.onsite.errors import Refused
from tests.lab import program
from tests.lab.accounts import Tenant
from tests.lab.client import Client
from tests.lab.fixtures import MakeTenant
from tests.lab.lab import Lab
from tests.lab.shell import until
from tests.providers import onsite_world
from tests.providers.holders import IMAGE, Terminal, holder

ATTEMPTS = 5
"""Whoever comes just as the reaper repeats a fence's kill is killed in the gate, and comes again."""


@pytest.fixture(scope="module")
def tenant_in(lab: Lab, lab_client: Client) -> Iterator[Tenant]:
    with holder(lab, lab_client) as tenant:
        yield tenant


def said(tenant: Tenant, command: str) -> str:
    """What the command printed; it must have worked."""
    ran = tenant.login(command)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def enter(tenant: Tenant, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Start the gate as sudo would, past sshd."""
    sudo = {"SUDO_USER": tenant.user, "SUDO_UID": str(tenant.uid), "PATH": os.environ["PATH"], **environment}
    argv = [*tenant.place.inside, *program.argv(tenant.place, "gate")]
    return subprocess.run(argv, env=sudo, capture_output=True, text=True, timeout=30, check=False)


def test_a_login_is_the_accounts_user_without_capabilities(tenant_in: Tenant) -> None:
    """The shell runs as the account's uid, holds no capability and can gain none."""
    lines = said(tenant_in, "id -u; id -G; grep -E 'Cap|NoNewPrivs' /proc/self/status").split()
    assert lines[:2] == [str(tenant_in.uid)] * 2
    assert [int(value, 16) for name, value in zip(lines[2::2], lines[3::2], strict=True)] == [0, 0, 0, 0, 0, 1]


def test_a_login_sees_only_its_own_processes(tenant_in: Tenant) -> None:
    """No process of the host or of another login is visible."""
    assert said(tenant_in, "cd /proc; cat [0-9]*/comm").split() == ["bwrap", "cat"]


def test_root_writes_to_no_file_of_the_kernels_for_a_holder(tenant_in: Tenant) -> None:
    """/proc asks who writes, not who opened: what a holder hands over is not written to there."""
    ran = tenant_in.login("container images > /proc/self/oom_score_adj")
    assert (ran.returncode, ran.stderr) == (125, "")


def test_container_output_may_go_to_a_file_of_the_holders(tenant_in: Tenant) -> None:
    """What lies on the account's own storage is written to."""
    assert said(tenant_in, "container images > /tmp/list && cat /tmp/list").strip() == IMAGE


def test_a_login_is_in_the_accounts_network(tenant_in: Tenant) -> None:
    """The shell's network namespace is the account's."""
    inode = os.stat(f"/run/netns/{tenant_in.user}").st_ino
    assert said(tenant_in, "readlink /proc/self/ns/net").strip() == f"net:[{inode}]"


def test_a_login_is_in_the_accounts_cgroup(tenant_in: Tenant) -> None:
    """Memory, pids and freezer of a shell are the account's, seen from the host."""
    terminal = Terminal(tenant_in)
    terminal.expect("$ ")
    shells = {int(pid) for knob in tenant_in.knobs() for pid in knob.read_text().split()}
    owners = {os.stat(f"/proc/{pid}").st_uid for pid in shells}
    terminal.type("exit\n")
    terminal.end()
    assert tenant_in.uid in owners


@pytest.mark.parametrize("folder", ["/", "/usr", "/etc", "/run", "/var", "/dev", "/home", "/models/tiny", "/opt"])
def test_nothing_outside_the_quota_can_be_written(tenant_in: Tenant, folder: str) -> None:
    """Only home, /tmp, /var/tmp and /dev/shm can be written."""
    assert tenant_in.login(f"echo x > {folder}/gate-test").returncode != 0


@pytest.mark.parametrize("folder", ["/tmp", "/var/tmp", "/dev/shm", "/work"])
def test_temporary_files_lie_in_the_accounts_storage(tenant_in: Tenant, folder: str) -> None:
    """What is written to a temporary folder is found in the account's subvolume, not in the host's folder."""
    name = f"gate-{folder.replace('/', '-')}-{tenant_in.id}"
    said(tenant_in, f"echo x > {folder}/{name}")
    assert len(list(tenant_in.folder.glob(f"*/{name}"))) == 1
    assert not Path(folder, name).exists()


def test_other_accounts_cannot_be_seen(tenant_in: Tenant, tenant: MakeTenant) -> None:
    """Neither users nor homes of others show."""
    other = tenant()
    seen = said(tenant_in, "cat /etc/passwd /etc/group; ls -R /home; getent passwd; cat /proc/mounts")
    assert other.id not in seen


def test_nothing_of_the_hosts_secrets_shows(tenant_in: Tenant) -> None:
    """The host's configuration, state and logs are not there."""
    for path in ("/etc/shadow", "/etc/ssh", "/etc/sudoers.d", "/root", "/var/log", "/boot", "/sys", "/run/netns"):
        assert tenant_in.login(f"ls {path}").returncode != 0, path
    assert not [row for row in said(tenant_in, "ls /dev").split() if row.startswith(("loop", "sd", "vd"))]


@pytest.mark.parametrize(
    "command",
    ["sudo -n true", "unshare -r true", "mount -t tmpfs none /tmp", "chroot / true", "su -c true", "nsenter -t 1 -m"],
)
def test_no_privilege_can_be_gained(tenant_in: Tenant, command: str) -> None:
    """setuid programs, namespaces and mounts do not work."""
    assert tenant_in.login(command).returncode != 0


def test_a_nested_subvolume_is_refused(tenant_in: Tenant) -> None:
    """A nested subvolume would have no quota with btrfs' full quotas."""
    assert tenant_in.login("btrfs subvolume create ~/nested").returncode != 0
    assert not (tenant_in.folder / "home/nested").exists()


def test_exit_statuses_come_through(tenant_in: Tenant) -> None:
    """ssh ends as the command did; a killed command as a shell says it."""
    assert [tenant_in.login(command).returncode for command in ("exit 7", "kill -9 $$")] == [7, 137]


def test_input_and_output_come_through(tenant_in: Tenant) -> None:
    """A pipe through ssh is byte for byte, and errors stay apart."""
    given = os.urandom(300_000)
    argv = [*tenant_in.ssh(), "cat; echo apart >&2"]
    ran = subprocess.run(argv, input=given, capture_output=True, timeout=60, check=False)
    assert (ran.stdout, ran.stderr) == (given, b"apart\n")


def test_a_terminal_works(tenant_in: Tenant) -> None:
    """Ctrl-C ends the command and not the login, jobs can be stopped, the window's size is known."""
    terminal = Terminal(tenant_in)
    terminal.expect("$ ")
    terminal.type("stty size\n")
    terminal.expect("40 100")
    terminal.type("sh -c 'echo beg''an; exec sleep 1000'\n")
    terminal.expect("began")
    terminal.type("\x03")
    terminal.expect("$ ")
    terminal.type("echo $?=\n")
    terminal.expect("130=")
    terminal.type("sh -c 'echo beg''an; exec sleep 1000'\n")
    terminal.expect("began")
    terminal.type("\x1a")
    terminal.expect("Stopped")
    terminal.type("exit 5\nexit 5\n")  # the first one only warns of the stopped job
    assert terminal.end() == 5


def test_a_terminal_tells_the_end_and_the_notice(tenant_in: Tenant) -> None:
    """At login the holder reads when the account ends, in both languages, and what Tenure has to say."""
    tenant_in.client.call("notice", account=tenant_in.id, text="Maintenance at noon 中午维护")
    terminal = Terminal(tenant_in)
    seen = terminal.expect("$ ")
    terminal.type("exit\n")
    terminal.end()
    tenant_in.client.call("notice", account=tenant_in.id, text="")
    assert re.search(r"This account ends at \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC, in 0 h \d+ min", seen)
    assert "到期" in seen
    assert "Maintenance at noon 中午维护" in seen


def test_a_hang_up_ends_what_the_login_ran(tenant_in: Tenant) -> None:
    """Whoever closes the terminal leaves no process behind; what is to go on runs in a container."""
    terminal = Terminal(tenant_in)
    terminal.expect("$ ")
    terminal.type("trap '' HUP; setsid nohup sleep 4321 & echo beg''an\n")
    terminal.expect("began")
    os.kill(terminal.pid, signal.SIGKILL)
    terminal.end()
    until(lambda: not any(knob.read_text().split() for knob in tenant_in.knobs()), "the login's processes to go")


def sftp(tenant: Tenant, *lines: str) -> "subprocess.CompletedProcess[str]":
    """Give these lines to the stock sftp client."""
    ssh = tenant.ssh()
    argv = ["sftp", "-q", "-b", "-", "-s", sandbox.sftp(), *ssh[1:-1], ssh[-1]]
    return subprocess.run(argv, input="\n".join(lines), capture_output=True, text=True, timeout=30, check=False)


def test_files_come_and_go_by_sftp(tenant_in: Tenant, tmp_path: Path) -> None:
    """A file goes into the home and comes back the same."""
    (tmp_path / "there").write_bytes(os.urandom(100_000))
    ran = sftp(tenant_in, f"put {tmp_path}/there there", f"get there {tmp_path}/back")
    assert ran.returncode == 0, ran.stderr
    assert (tmp_path / "back").read_bytes() == (tmp_path / "there").read_bytes()
    assert (tenant_in.folder / "home/there").exists()


def test_old_scp_works(tenant_in: Tenant, tmp_path: Path) -> None:
    """`scp -O`, which runs a program at the other end, works as well."""
    (tmp_path / "there").write_text("old")
    ssh = tenant_in.ssh()
    subprocess.run(["scp", "-O", *ssh[1:-1], str(tmp_path / "there"), f"{ssh[-1]}:old"], check=True, timeout=30)
    assert (tenant_in.folder / "home/old").read_text() == "old"


def test_sftp_is_confined(tenant_in: Tenant, tmp_path: Path) -> None:
    """SFTP sees no more of the host than the shell does."""
    assert sftp(tenant_in, "ls /home").stdout.split()[-1] == f"/home/{tenant_in.user}"
    assert sftp(tenant_in, f"get /etc/ssh/sshd_config {tmp_path}/x").returncode != 0


def test_a_holders_files_steer_nothing_outside(tenant_in: Tenant) -> None:
    """What sshd and PAM would read in a home is not read from where holders write."""
    home = tenant_in.folder / "home"
    mark = f"/tmp/outside-{tenant_in.id}"
    said(tenant_in, "mkdir -p ~/.ssh; echo 'LD_PRELOAD DEFAULT=/no/such.so' > ~/.pam_environment")
    (home / ".ssh/rc").write_text(f"touch {mark}\n")
    (home / ".ssh/environment").write_text("LD_PRELOAD=/no/such.so\n")
    try:
        assert tenant_in.login("true").stderr == ""
        assert not Path(mark).exists()
    finally:
        (home / ".pam_environment").unlink()
        shutil.rmtree(home / ".ssh")


def test_no_ports_are_forwarded(tenant_in: Tenant) -> None:
    """The site's own network cannot be reached through a login."""
    argv = tenant_in.ssh("-o", "ExitOnForwardFailure=yes", "-W", f"{tenant_in.place.address}:22")
    ran = subprocess.run(argv, input="", capture_output=True, text=True, timeout=20, check=False)
    assert "SSH-2.0" not in ran.stdout


def test_an_account_that_is_not_open_is_refused(tenant: MakeTenant) -> None:
    """Before logins open the gate says that the account is closed."""
    ran = enter(tenant())
    assert (ran.returncode, ran.stdout) == (77, "")
    assert "this account is closed" in ran.stderr


def test_a_fenced_account_is_refused(lab: Lab, lab_client: Client) -> None:
    """Under a fence even who passed sshd stands before a closed gate."""
    with holder(lab, lab_client) as one:
        assert enter(one, SSH_ORIGINAL_COMMAND="echo in").stdout == "in\n"
        one.fence()
        for _ in range(ATTEMPTS):
            late = enter(one, SSH_ORIGINAL_COMMAND="echo in")
            assert late.stdout == ""
            if late.returncode != -signal.SIGKILL:
                break
        assert late.returncode == 77


def test_nobody_gets_in_before_the_limits_stand(tmp_path: Path) -> None:
    """After a reboot the gate stays shut until the account's limits are restored."""
    config, account, now = onsite_world.make(tmp_path), "agateready", time.time()
    lease.write(config, account, lease.Lease(now + 600, 1, "open", 600, now))
    with pytest.raises(Refused, match="restarted"):
        gate.admit(config, account)
    boot.mark_ready(config, account)
    assert gate.admit(config, account).end == now + 600
    paths.ready(config, account).unlink()


@pytest.mark.parametrize(
    "environment",
    [{"SUDO_UID": "0"}, {"SUDO_USER": "root"}, {"SUDO_USER": "tn-aaaaaaaaaa"}, {"SUDO_USER": "tn-../../etc"}],
)
def test_only_the_accounts_own_user_gets_in(tenant_in: Tenant, environment: dict[str, str]) -> None:
    """The gate believes sudo, and only when host and ledger agree."""
    assert enter(tenant_in, **environment, SSH_ORIGINAL_COMMAND="id").returncode == 77
