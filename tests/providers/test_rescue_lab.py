"""After the end, on a real site, with the stock clients: a holder fetches their own files, and can do nothing else."""

import contextlib
import os
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.accounts import Tenant
from tests.lab.client import Client
from tests.lab.lab import Lab
from tests.lab.shell import run, until
from tests.providers.rescues import Session, ended, knock, options, readers, scp, sftp, string


@pytest.fixture(scope="module")
def over(lab: Lab, lab_client: Client) -> Iterator[Tenant]:
    with ended(lab, lab_client) as tenant:
        yield tenant


def test_a_file_is_fetched(over: Tenant, tmp_path: Path) -> None:
    """By sftp, byte for byte, its mode and a private one as well."""
    ran = sftp(over, f"get large {tmp_path}/large", f"get -p results/deep/secret {tmp_path}/secret")
    assert ran.returncode == 0, ran.stderr
    assert (tmp_path / "large").read_bytes() == (over.folder / "home/large").read_bytes()
    assert (tmp_path / "secret").read_text() == "mine\n"


def test_scp_fetches_a_folder(over: Tenant, tmp_path: Path) -> None:
    """Today's scp speaks SFTP."""
    ran = scp(over, "results", tmp_path, "-r")
    assert ran.returncode == 0, ran.stderr
    assert (tmp_path / "results/deep/secret").read_text() == "mine\n"


@pytest.mark.parametrize(
    "line",
    ["put {here} new", "put {here} results/data", "rm results/data", "rename results/data x", "mkdir new",
     "rmdir results", "chmod 777 results/data", "chown 0 results/data", "chgrp 0 results/data", "ln results/data new",
     "symlink results/data new", "put -p {here} /tmp/new"],
)
def test_nothing_is_changed(over: Tenant, tmp_path: Path, line: str) -> None:
    """Every word of sftp that writes is refused, and the files are as they were."""
    (tmp_path / "here").write_text("new")
    before = seen(over)
    assert sftp(over, line.format(here=tmp_path / "here")).returncode != 0
    assert seen(over) == before


FLAGS = {"write": 0x2, "append": 0x6, "create": 0x8, "truncate": 0x10}


@pytest.mark.parametrize(("kind", "body"), [
    *((3, string(b"results/data") + struct.pack(">II", flag | 1, 0)) for flag in FLAGS.values()),
    (9, string(b"results/data") + struct.pack(">III", 8, 0, 0)),
    (200, string(b"posix-rename@openssh.com") + string(b"results/data") + string(b"x")),
    (200, string(b"hardlink@openssh.com") + string(b"results/data") + string(b"x")),
    (200, string(b"lsetstat@openssh.com") + string(b"results/data") + struct.pack(">III", 8, 0, 0)),
], ids=[*FLAGS, "times", "posix-rename", "hardlink", "lsetstat"])
def test_no_packet_of_the_protocol_writes(over: Tenant, kind: int, body: bytes) -> None:
    """As another client would send them: answered with an error (a STATUS), and nothing has changed."""
    before = seen(over)
    with Session(over) as session:
        assert session.ask(kind, struct.pack(">I", 1) + body) == 101
    assert seen(over) == before


def seen(tenant: Tenant) -> str:
    """Every file with its mode, owner, times and size; the time of the last reading too."""
    return run(["find", str(tenant.folder), "-printf", "%p %m %U %G %s %T@ %C@ %A@ %n\n"])


def test_reading_leaves_no_trace_in_the_files(over: Tenant, tmp_path: Path) -> None:
    """Not even the time of the last access."""
    before = seen(over)
    assert sftp(over, f"get results/data {tmp_path}/data", "ls -la", "ls -l /tmp").returncode == 0
    assert seen(over) == before


@pytest.mark.parametrize(
    "command",
    ["", "id", "sh", "container list", "list", "scp -f large", "rsync --server --sender -logDtpre.iLsfxC . .",
     "/usr/bin/true /usr/lib/openssh/sftp-server", "internal-sftp; id"],
)
def test_nothing_is_run(over: Tenant, command: str) -> None:
    """Neither a shell nor a command nor a container; the holder is told what they can do."""
    ran = knock(over, command)
    assert (ran.returncode, ran.stdout) == (77, "")
    assert "sftp" in ran.stderr
    assert "账户已到期" in ran.stderr


def test_what_runs_is_the_readonly_server_whatever_is_said_with_it(over: Tenant) -> None:
    """Options given to the subsystem's program are not passed on."""
    argv = [*over.ssh(), "/usr/lib/openssh/sftp-server -h"]
    assert b"usage" not in subprocess.run(argv, input=b"", capture_output=True, timeout=20, check=False).stderr


def test_old_scp_and_terminals_are_refused(over: Tenant, tmp_path: Path) -> None:
    """`scp -O` runs a program; a terminal is for programs."""
    assert scp(over, "large", tmp_path, "-O").returncode != 0
    argv = over.ssh("-tt")
    assert subprocess.run(argv, input="", capture_output=True, text=True, timeout=20, check=False).returncode != 0
    assert not (tmp_path / "large").exists()


@pytest.mark.parametrize("forward", [["-L", "8822:{host}:22"], ["-R", "0:{host}:22"], ["-D", "8823"]])
def test_no_port_is_forwarded(over: Tenant, forward: list[str], tmp_path: Path) -> None:
    """Nothing gets through a connection of a rescue, in either direction."""
    words = [word.format(host=over.place.address) for word in forward]
    control = tmp_path / "control"
    ssh = over.ssh("-o", "ExitOnForwardFailure=yes", "-N", "-M", "-S", str(control), *words)
    process = subprocess.Popen(ssh, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        if forward[0] == "-R":
            assert process.wait(20) != 0
            return
        port = int(words[1].split(":")[0])
        until(lambda: talks(port) is not None or process.poll() is not None, "the client to listen")
        assert not talks(port)
    finally:
        process.kill()
        process.wait()


def talks(port: int) -> bool | None:
    """Whether what the client listens for comes out at sshd; None while it does not listen."""
    import socket

    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as line:
            line.sendall(b"\x05\x01\x00" if port == 8823 else b"x")
            first = line.recv(2)
            if port == 8823 and first:
                line.sendall(b"\x05\x01\x00\x01\x7f\x00\x00\x01\x00\x16")
                return line.recv(10)[1:2] == b"\x00"
            return bool(first)
    except ConnectionRefusedError:
        return None
    except OSError:
        return False


def test_links_to_the_outside_show_nothing(over: Tenant, tmp_path: Path) -> None:
    """The host's files are not there, nor is /proc or anybody else's home."""
    inside = sftp(over, f"get inside {tmp_path}/inside", f"get hard {tmp_path}/hard", f"get temporary {tmp_path}/tmp")
    assert inside.returncode == 0, inside.stderr
    for path in ("outside", "top/etc/shadow", "/etc/ssh/sshd_config", "/proc/1/environ", "/proc/self/maps",
                 "/sys/kernel", "/run/tenure", "/root", f"{over.place.path('pool')}"):
        assert sftp(over, f"get {path} {tmp_path}/stolen").returncode != 0, path
    listed = sftp(over, "ls -1 top/", "ls -1 /home", "ls -la /etc").stdout
    assert "shadow" not in listed
    assert f"/home/{over.user}" in listed


def test_another_account_is_not_there(over: Tenant, lab: Lab, lab_client: Client) -> None:
    """Neither its home nor its name, and its key opens nothing."""
    with ended(lab, lab_client) as other:
        assert other.id not in sftp(over, "ls -1 /home", "ls -l /etc", "get /etc/passwd /dev/stdout").stdout
        assert sftp(over, f"ls {other.folder}").returncode != 0
        argv = ["sftp", "-q", "-b", "-", *over.ssh()[1:-1], other.ssh()[-1]]
        assert subprocess.run(argv, input="ls", capture_output=True, text=True, timeout=20, check=False).returncode != 0


def test_a_transfer_that_broke_off_goes_on(over: Tenant, tmp_path: Path) -> None:
    """As the claim page says: the same command with `-a`."""
    whole = (over.folder / "home/large").read_bytes()
    (tmp_path / "all").mkdir()
    (tmp_path / "all/large").write_bytes(whole[:1_000_000])
    argv = ["sftp", "-a", "-r", *options(over), f"{over.ssh()[-1]}:.", str(tmp_path / "all")]
    assert subprocess.run(argv, capture_output=True, timeout=60, check=False).returncode == 0
    assert (tmp_path / "all/large").read_bytes() == whole
    assert (tmp_path / "all/results/data").read_text() == "kept\n"


def test_a_pipe_hangs_nobody(over: Tenant, tmp_path: Path) -> None:
    """What is no file is passed over; the rest comes."""
    ran = sftp(over, f"get -r . {tmp_path}/all")
    assert (tmp_path / "all/results/data").read_text() == "kept\n"
    assert not (tmp_path / "all/pipe").exists()
    assert ran.returncode in (0, 1)


def test_a_client_that_hangs_in_a_pipe_ends_with_its_connection(over: Tenant) -> None:
    """Whoever insists on opening a pipe waits for ever, and only while they stay connected."""
    with Session(over) as session:
        session.tell(3, struct.pack(">I", 1) + string(b"pipe") + struct.pack(">II", 1, 0))
    until(lambda: not readers(over), "the session to end")


def test_what_reads_is_limited_and_cut_off(over: Tenant) -> None:
    """In the account's cgroup, sshd's own process of the login too; in a network of its own without an address."""
    with Session(over):
        found = {int(pid): Path(f"/proc/{pid}/comm").read_text().strip() for pid in readers(over)}
        servers = [pid for pid, name in found.items() if name == "sftp-server"]
        assert "sshd" in found.values()
        assert len(servers) == 1
        spaces = {os.readlink(f"/proc/{pid}/ns/net") for pid in (servers[0], "self")}
        links = run(["nsenter", f"--net=/proc/{servers[0]}/ns/net", "ip", "-o", "link"])
        assert len(spaces) == 2
        assert [line.split(":")[1].strip() for line in links.splitlines()] == ["lo"]
        status = Path(f"/proc/{servers[0]}/status").read_text()
        assert [line.split()[1] for line in status.splitlines() if line.startswith(("CapEff", "CapBnd", "NoNewPrivs",
                                                                                   "Seccomp:"))] == [
            "0" * 16, "0" * 16, "1", "2"]


def test_few_read_at_once(over: Tenant) -> None:
    """A further session is refused with the reason; a place is free again when one ends."""
    with contextlib.ExitStack() as all_places:
        for _ in range(3):
            all_places.enter_context(Session(over))
        with Session(over):
            assert "sessions are open" in knock(over, "id").stderr
        until(lambda: sftp(over, "ls").returncode == 0, "a free place")


def test_a_fence_that_comes_again_spares_who_fetches(over: Tenant) -> None:
    """Tenure fences what its site has fenced already; the reaper sees to it again, too."""
    with Session(over) as session:
        over.generation += 1
        (row,) = over.client.call("fence", batch=[[over.id, over.generation]], by="end")
        assert "error" not in row
        seen = (over.place.run / "reaper").stat().st_mtime_ns
        until(lambda: (over.place.run / "reaper").stat().st_mtime_ns > seen + 2 * 10**9, "the reaper's next looks")
        assert session.alive()
