"""What `prepare` puts on a host, before it is put there."""

import json
import subprocess
import sys
from functools import partial
from pathlib import Path

from providers.host import program, settings
from providers.host.files import File, command, files, folders, unit, version_folder
from tests.providers.keys import make_key

CA, OPERATOR = make_key().public, make_key().public
HOST = settings.parse("s", {"address": "h", "host_key": make_key().public, "models": {"m": "/srv/m"}})


def by_path(wanted: list[File]) -> dict[str, str]:
    return {file.path: file.content for file in wanted if isinstance(file.content, str)}


def test_the_program_has_one_version_everywhere() -> None:
    """Whichever process reads it."""
    argv = [sys.executable, "-c", "from providers.host.program import version; print(version())"]
    run = partial(subprocess.run, argv, capture_output=True, text=True, check=True, timeout=60)
    root = Path(__file__).parents[2]
    assert run(cwd=root, env={"PYTHONHASHSEED": "1"}).stdout == run(cwd=root, env={"PYTHONHASHSEED": "2"}).stdout


def test_the_program_says_the_version_that_was_built(tmp_path: Path) -> None:
    """Started as on a host, from its launcher, it names itself."""
    host = settings.parse("s", {"address": "h", "host_key": make_key().public, "paths": {"lib": str(tmp_path)}})
    for file in files(host, CA, OPERATOR):
        if file.path.startswith(str(tmp_path)):
            Path(file.path).parent.mkdir(parents=True, exist_ok=True)
            Path(file.path).write_bytes(file.raw)
    argv = [sys.executable, "-I", "-S", str(tmp_path / "tenure-site"), "version"]
    ran = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=60)
    assert ran.stdout.strip() == program.version()


def test_sudo_takes_its_rules(tmp_path: Path) -> None:
    """visudo has nothing to say against them."""
    (tmp_path / "rules").write_text(by_path(files(HOST, CA, OPERATOR))[HOST.paths.sudoers])
    ran = subprocess.run(["visudo", "-c", "-f", str(tmp_path / "rules")], capture_output=True, text=True, timeout=30)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def effective(tmp_path: Path, user: str) -> dict[str, str]:
    """sshd's own reading of the drop-in for this user."""
    (tmp_path / "host").write_text(make_key().private)
    (tmp_path / "host").chmod(0o600)
    drop_in = by_path(files(HOST, CA, OPERATOR))[HOST.paths.sshd_drop_in]
    # The group exists on prepared hosts only; root's stands for it.
    (tmp_path / "drop").write_text(drop_in.replace(f"Group {HOST.group}", "Group root"))
    (tmp_path / "config").write_text(f"HostKey {tmp_path}/host\nInclude {tmp_path}/drop\nAllowTcpForwarding yes\n")
    Path("/run/sshd").mkdir(exist_ok=True)
    argv = ["/usr/sbin/sshd", "-T", "-f", str(tmp_path / "config"), "-C", f"user={user},host=h,addr=127.0.0.1"]
    ran = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=30)
    return dict(line.split(" ", 1) for line in ran.stdout.splitlines() if " " in line)


def test_a_holder_gets_the_gate_and_nothing_else(tmp_path: Path) -> None:
    """Certificates only, no forwarding, no rc file, no keys of their own."""
    seen = effective(tmp_path, "root")
    wanted = {
        "forcecommand": " ".join([HOST.paths.sudo, "-n", *command(HOST, "gate")]),
        "disableforwarding": "yes",
        "allowtcpforwarding": "no",
        "allowstreamlocalforwarding": "no",
        "allowagentforwarding": "no",
        "x11forwarding": "no",
        "permittunnel": "no",
        "permituserrc": "no",
        "authorizedkeysfile": "none",
        "trustedusercakeys": "/etc/tenure-site/ca.pub",
        "authorizedprincipalsfile": "/etc/tenure-site/principals/%u",
        "authenticationmethods": "publickey",
    }
    assert {key: seen.get(key) for key in wanted} == wanted


def test_the_operator_can_start_one_program(tmp_path: Path) -> None:
    """Whatever it asks for, `serve` is what runs; no terminal, no forwarding."""
    seen = effective(tmp_path, HOST.user)
    wanted = {
        "forcecommand": " ".join([HOST.paths.sudo, "-n", *command(HOST, "serve")]),
        "disableforwarding": "yes",
        "permittty": "no",
        "authorizedkeysfile": "/etc/tenure-site/operator_keys",
    }
    assert {key: seen.get(key) for key in wanted} == wanted


def test_other_users_are_left_alone(tmp_path: Path) -> None:
    """The machine's own logins keep what they had."""
    seen = effective(tmp_path, "daemon")
    assert (seen["forcecommand"], seen["allowtcpforwarding"]) == ("none", "yes")


def test_only_the_program_s_own_files_may_be_read_by_all() -> None:
    """The configuration is root's alone, sudo's rules as sudo wants them, and nothing is writable by others."""
    modes = {file.path: file.mode for file in [*files(HOST, CA, OPERATOR), unit(HOST)]}
    assert (modes["/etc/tenure-site/config.json"], modes[HOST.paths.sudoers]) == (0o600, 0o440)
    assert not [path for path, mode in modes.items() if mode & 0o022]


def test_no_private_key_goes_to_the_host() -> None:
    """Public halves only."""
    assert not [file for file in files(HOST, CA, OPERATOR) if b"PRIVATE KEY" in file.raw]


def test_the_configuration_is_one_the_program_takes() -> None:
    """Read by the on-site program's own reader."""
    from providers.host.onsite import config

    raw = json.loads(by_path(files(HOST, CA, OPERATOR))["/etc/tenure-site/config.json"])
    assert config.parse(raw, Path("/x")).models == {"m": Path("/srv/m")}


def test_a_program_in_use_is_not_overwritten() -> None:
    """Its folder bears its version: what runs goes on reading what it began with."""
    assert program.version() in version_folder(HOST)


def test_the_reaper_starts_before_anybody_can_log_in() -> None:
    """The unit says so, and that it is always started again."""
    text = unit(HOST).content
    assert isinstance(text, str)
    assert "Before=ssh.service" in text
    assert "Restart=always" in text


def test_state_is_root_s_alone() -> None:
    """Leases, ledger and tombstones."""
    assert {folder.path: folder.mode for folder in folders(HOST)}["/var/lib/tenure-site"] == 0o700
