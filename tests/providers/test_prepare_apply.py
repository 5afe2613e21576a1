"""Putting it there, on this machine under folders of the test's own, with a user and group that go again."""

import grp
import os
import pwd
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from providers.host import prepare, program, settings, unprepare
from providers.host.files import launcher, version_folder
from providers.host.shell import TIMEOUT, Ran
from providers.protocol import NeedsHuman, Refused
from tests.providers.keys import make_key

CA, OPERATOR = make_key().public, make_key().public
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, as on a host")


class Local:
    """This machine, where we are root."""

    def run(self, argv: Sequence[str], given: bytes = b"", timeout: float = TIMEOUT) -> Ran:
        ended = subprocess.run(argv, input=given, capture_output=True, timeout=timeout, check=False)
        return Ran(ended.returncode, ended.stdout, " ".join(ended.stderr.decode(errors="replace").split()))


@pytest.fixture
def host(tmp_path: Path) -> Iterator[settings.HostSettings]:
    (tmp_path / "hostkey").write_text(make_key().private)
    (tmp_path / "hostkey").chmod(0o600)
    (tmp_path / "sshd_config").write_text(f"HostKey {tmp_path}/hostkey\nInclude {tmp_path}/drop-in\n")
    name = f"tnt-{os.getpid()}"
    made = settings.parse(
        "s",
        {
            "address": "h",
            "host_key": make_key().public,
            "user": f"{name}-op",
            "group": f"{name}-holders",
            "paths": {
                "lib": f"{tmp_path}/lib",
                "etc": f"{tmp_path}/etc",
                "state": f"{tmp_path}/state",
                "run": f"{tmp_path}/run",
                "sudoers": f"{tmp_path}/sudoers",
                "sshd_config": f"{tmp_path}/sshd_config",
                "sshd_drop_in": f"{tmp_path}/drop-in",
                "sshd_pid": f"{tmp_path}/sshd.pid",
                "unit": f"{tmp_path}/reaper.service",
            },
        },
    )
    yield made
    for argv in (["userdel", made.user], ["groupdel", made.group]):
        subprocess.run(argv, capture_output=True, timeout=30, check=False)


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def apply(host: settings.HostSettings, *, dry_run: bool = False) -> list[str]:
    return prepare.apply(Local(), host, CA, OPERATOR, dry_run=dry_run)


def upgrade(monkeypatch: pytest.MonkeyPatch) -> None:
    """The on-site program gains a line."""
    newer = {**program.sources(), "__init__.py": program.sources()["__init__.py"] + b"\n"}
    monkeypatch.setattr(program, "sources", lambda: newer)


def test_a_dry_run_changes_nothing(host: settings.HostSettings, tmp_path: Path) -> None:
    """It lists the user, the folders and every file."""
    before = tree(tmp_path)
    said = apply(host, dry_run=True)
    assert tree(tmp_path) == before
    assert f"add user {host.user}" in said
    assert f"+Match Group {host.group}" in said


def test_a_second_time_there_is_nothing_to_do(host: settings.HostSettings) -> None:
    """Prepared is prepared."""
    apply(host)
    assert apply(host) == []


def test_what_was_put_there_is_root_s_with_the_right_modes(host: settings.HostSettings) -> None:
    """sudo and sshd insist on it, and so do we."""
    apply(host)
    seen = {
        path: Path(path).stat()
        for path in (host.paths.sudoers, f"{version_folder(host)}/onsite/gate.py", host.paths.state)
    }
    assert [(one.st_uid, one.st_mode & 0o7777) for one in seen.values()] == [(0, 0o440), (0, 0o644), (0, 0o700)]


def test_the_operator_has_no_password_and_no_home(host: settings.HostSettings) -> None:
    """A key is the only way in."""
    apply(host)
    shadow = next(line for line in Path("/etc/shadow").read_text().splitlines() if line.startswith(f"{host.user}:"))
    assert (shadow.split(":")[1], pwd.getpwnam(host.user).pw_dir) == ("*", "/")


def test_a_file_that_somebody_changed_is_put_right(host: settings.HostSettings) -> None:
    """And the change is shown as a diff."""
    apply(host)
    drop_in = Path(host.paths.sshd_drop_in)
    drop_in.write_text(drop_in.read_text().replace("DisableForwarding yes", "DisableForwarding no"))
    assert "+    DisableForwarding yes" in apply(host)
    assert "DisableForwarding no" not in drop_in.read_text()


def test_an_upgrade_leaves_the_running_version_readable(
    host: settings.HostSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Old and new lie side by side until the upgrade after the next."""
    apply(host)
    old = version_folder(host)
    upgrade(monkeypatch)
    apply(host)
    assert Path(old, "onsite/serve.py").exists()
    assert f'"{version_folder(host)}"' in Path(launcher(host)).read_text()


class WithSystemd(Local):
    """This machine, as if systemd ran it: what it is told is kept, not done."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.running: set[str] = {"ssh.service"}

    def run(self, argv: Sequence[str], given: bytes = b"", timeout: float = 30.0) -> Ran:
        if list(argv) == ["test", "-d", "/run/systemd/system"]:
            return Ran(0, b"", "")
        if argv[0] != "systemctl":
            return super().run(argv, given, timeout)
        if argv[1] == "is-active":
            return Ran(0 if argv[-1] in self.running else 3, b"", "")
        self.told.append(" ".join(argv[1:]))
        if argv[1] == "restart":
            self.running.add(argv[-1])
        return Ran(0, b"", "")


def test_the_reaper_is_started_where_systemd_runs(host: settings.HostSettings) -> None:
    """Now and at every boot; a second time nothing is told."""
    on = WithSystemd()
    prepare.apply(on, host, CA, OPERATOR, dry_run=False)
    assert on.told == ["daemon-reload", "enable reaper.service", "restart reaper.service"]
    assert prepare.apply(on, host, CA, OPERATOR, dry_run=False) == []


def test_an_upgrade_restarts_the_reaper(host: settings.HostSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leases are files: nothing else is touched."""
    on = WithSystemd()
    prepare.apply(on, host, CA, OPERATOR, dry_run=False)
    on.told.clear()
    upgrade(monkeypatch)
    prepare.apply(on, host, CA, OPERATOR, dry_run=False)
    assert on.told == ["enable reaper.service", "restart reaper.service"]


def test_a_reaper_that_died_is_started_again(host: settings.HostSettings) -> None:
    """Preparing again is how an operator repairs a site."""
    on = WithSystemd()
    prepare.apply(on, host, CA, OPERATOR, dry_run=False)
    on.running.discard("reaper.service")
    assert prepare.apply(on, host, CA, OPERATOR, dry_run=False) == ["reaper.service restarted"]


def test_what_sshd_does_not_take_is_undone(host: settings.HostSettings, tmp_path: Path) -> None:
    """A configuration that sshd refuses never stays where it would read it at its next start."""
    (tmp_path / "sshd_config").write_text("Nonsense yes\n")
    with pytest.raises(NeedsHuman, match="sshd"):
        apply(host)
    assert not Path(host.paths.sshd_drop_in).exists()


def test_a_drop_in_that_sshd_does_not_read_is_said(host: settings.HostSettings, tmp_path: Path) -> None:
    """With the line that is missing."""
    (tmp_path / "sshd_config").write_text(f"HostKey {tmp_path}/hostkey\n")
    with pytest.raises(NeedsHuman) as raised:
        apply(host)
    assert f"Include {host.paths.sshd_drop_in}" in raised.value.remedy


def test_taking_away_is_refused_while_an_account_is_there(host: settings.HostSettings) -> None:
    """Its end would be nobody's."""
    apply(host)
    leases = Path(host.paths.state, "leases")
    leases.mkdir()
    (leases / "aaaaaaaaaa.json").write_text("{}")
    with pytest.raises(Refused, match="aaaaaaaaaa"):
        unprepare.take_away(Local(), host, dry_run=False)


def test_taking_away_leaves_only_the_state(host: settings.HostSettings, tmp_path: Path) -> None:
    """User, group and files are gone; which uids were used is kept. Again: nothing to do."""
    apply(host)
    unprepare.take_away(Local(), host, dry_run=False)
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"hostkey", "sshd_config", "state"}
    assert host.group not in {group.gr_name for group in grp.getgrall()}
    assert unprepare.take_away(Local(), host, dry_run=False) == []


def test_missing_packages_are_named(host: settings.HostSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Never installed unasked."""
    monkeypatch.setitem(prepare.PACKAGES, "no-such-program", "no-such-package")
    with pytest.raises(NeedsHuman) as raised:
        apply(host)
    assert "apt-get install no-such-package" in raised.value.remedy
