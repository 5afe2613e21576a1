"""Puts on a host what it needs to end accounts alone, over a login given for this once; safe with live accounts."""

import difflib
from collections.abc import Sequence

from providers.host import zipapp
from providers.host.files import (
    File,
    Folder,
    ca,
    command,
    config,
    files,
    folders,
    launcher,
    operator_keys,
    principals,
    unit,
)
from providers.host.look import Look, look, stands
from providers.host.settings import HostSettings
from providers.host.shell import Host, done
from providers.protocol import NeedsHuman, Refused

PACKAGES = {
    "python3": "python3",
    "podman": "podman",
    "runc": "runc",
    "btrfs": "btrfs-progs",
    "nft": "nftables",
    "ip": "iproute2",
    "sudo": "sudo",
    "visudo": "sudo",
    "sshd": "openssh-server",
    "bwrap": "bubblewrap",
    "useradd": "passwd",
}
"""Program → the Debian package that has it."""

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
LOOK = f'PATH={PATH}; for one; do command -v "$one" >/dev/null || echo "$one"; done'
STAGE = 'set -e; umask 077; cat > "$1.new"; chown 0:0 "$1.new"; chmod "$2" "$1.new"; sync "$1.new"'
MOVE = 'mv -fT -- "$1.new" "$1"; sync "$(dirname -- "$1")"'
OURS = r".*/[0-9a-f]{16}\.pyz"
LOGINS = 'getent group "$1" >/dev/null && echo group; getent passwd "$2" >/dev/null && echo user; :'
RELOAD = 'kill -HUP "$(cat -- "$1")"'
SSHD = "/usr/sbin/sshd"
VISUDO = "/usr/sbin/visudo"


def version() -> str:
    """Of the on-site program that `apply` installs."""
    return zipapp.version()


def serve(host: HostSettings) -> list[str]:
    """What Tenure's login asks for; the host allows it nothing else."""
    return command(host, "serve")


def confirm(seen: str, site: str) -> None:
    """The version that answers must be the one installed."""
    if seen != version():
        raise NeedsHuman(
            f"site {site}: version {seen} answers after {version()} was installed",
            remedy="see that nothing else on the host replaces the files, then prepare again",
        )


def apply(on: Host, host: HostSettings, ca_public: str, operator_public: str, *, dry_run: bool) -> list[str]:
    """Bring the host to what the settings say. Says what was (or would be) changed: nothing when all stands."""
    said = _programs(on, dry_run)
    said += _logins(on, host, dry_run)
    wanted, places = files(host, ca_public, operator_public), folders(host)
    seen = look(on, [*(one.path for one in places), *(one.path for one in wanted)])
    for folder in places:
        said += _folder(on, folder, seen[folder.path], dry_run)
    before = _launched(on, host)
    changed = {file.path: _file(on, host, file, seen[file.path], dry_run) for file in wanted}
    said += [line for lines in changed.values() for line in lines]
    said += _service(on, host, dry_run, restart=bool(changed[launcher(host)] or changed[config(host)]))
    if said and not dry_run:
        _confirm_files(on, wanted)
        _forget_old(on, host, keep={file.path for file in wanted} | before)
    return said


def take_away(on: Host, host: HostSettings, *, dry_run: bool) -> list[str]:
    """Remove what `apply` put there, but the ledger of uids and the tombstones. Refused while accounts are there."""
    there = _accounts(on, host)
    if there:
        raise Refused(f"site {host.site}: {len(there)} accounts are there ({', '.join(there[:3])}): end them first")
    said = []
    if not _systemd(on):
        said.append("no systemd here: stop the reaper, and what starts it")
    elif _read(on, host.paths.unit) is not None:
        said.append(f"stop and disable {_name(host)}")
        if not dry_run:
            done(on, ["systemctl", "disable", "--now", _name(host)])
    present = [path for path, seen in look(on, _gone(on, host)).items() if seen.shape]
    said += [f"remove {path}" for path in present]
    if not dry_run and present:
        done(on, ["rm", "-rf", "--", *present])
        done(on, ["rmdir", "--ignore-fail-on-non-empty", "--", host.paths.lib, host.paths.etc])
        _reload(on, host)
    said += _remove_logins(on, host, dry_run)
    changed = present or len(said) > 1
    return [*said, f"keep {host.paths.state} (which uids were ever used)"] if changed else []


def _gone(on: Host, host: HostSettings) -> list[str]:
    """What `apply` ever put there. Its folders go only if nobody else has put anything into them."""
    files_of = [launcher(host), config(host), host.paths.sudoers, host.paths.sshd_drop_in, host.paths.unit]
    return [*files_of, ca(host), operator_keys(host), principals(host), host.paths.run, *_programs_there(on, host)]


def _programs(on: Host, dry_run: bool) -> list[str]:
    missing = done(on, ["sh", "-c", LOOK, "sh", *PACKAGES]).out.decode().split()
    packages = sorted({PACKAGES[one] for one in missing})
    if packages and not dry_run:
        raise NeedsHuman(
            f"the host lacks {', '.join(missing)}", remedy=f"apt-get install {' '.join(packages)}, then prepare again"
        )
    return [f"missing, to be installed by you: apt-get install {' '.join(packages)}"] if packages else []


def _logins(on: Host, host: HostSettings, dry_run: bool) -> list[str]:
    """The holders' group and the operator's login: no password, no home, a key that starts one program."""
    steps: list[tuple[str, list[str]]] = []
    there = done(on, ["sh", "-c", LOGINS, "sh", host.group, host.user]).out.decode().split()
    if "group" not in there:
        steps.append((f"add group {host.group}", ["groupadd", "--system", host.group]))
    if "user" not in there:
        # '*' is no password, and unlike '!' does not count as a locked account to sshd
        argv = ["useradd", "--system", "--no-create-home", "--home-dir", "/", "--shell", "/bin/sh", "--password", "*"]
        steps.append((f"add user {host.user}", [*argv, host.user]))
    for _, argv in steps if not dry_run else []:
        done(on, argv)
    return [what for what, _ in steps]


def _remove_logins(on: Host, host: HostSettings, dry_run: bool) -> list[str]:
    said = []
    for kind, name, argv in (("passwd", host.user, ["userdel", "--force"]), ("group", host.group, ["groupdel"])):
        if on.run(["getent", kind, name]).code == 0:
            said.append(f"remove {'user' if kind == 'passwd' else 'group'} {name}")
            if not dry_run:
                done(on, [*argv, name])
    return said


def _confirm_files(on: Host, wanted: Sequence[File]) -> None:
    """Read back: somebody else may write the same files."""
    seen = look(on, [file.path for file in wanted])
    wrong = [file.path for file in wanted if not stands(file, seen[file.path])]
    if wrong:
        raise NeedsHuman(f"{wrong[0]}: reads back differently", remedy="see who else writes it, then prepare again")


def _folder(on: Host, folder: Folder, seen: Look, dry_run: bool) -> list[str]:
    if seen.shape == f"{folder.mode:o} root root directory":
        return []
    if not dry_run:
        done(on, ["install", "-d", "-o", "root", "-g", "root", "-m", f"{folder.mode:o}", folder.path])
    return [f"folder {folder.path} ({folder.mode:04o} root)"]


def _file(on: Host, host: HostSettings, file: File, seen: Look, dry_run: bool) -> list[str]:
    """Write the file if it differs. What sudo or sshd reads is checked by them before it counts."""
    if stands(file, seen):
        return []
    old = _read(on, file.path) if seen.shape else None
    said = describe(file, old)
    if dry_run:
        return said
    done(on, ["sh", "-c", STAGE, "sh", file.path, f"{file.mode:o}"], file.raw)
    if file.path == host.paths.sudoers:
        done(on, [VISUDO, "-c", "-q", "-f", f"{file.path}.new"])
    done(on, ["sh", "-c", MOVE, "sh", file.path])
    if file.path == host.paths.sshd_drop_in:
        _adopt(on, host, file, old)
        said += _reload(on, host)
    return said


def describe(file: File, old: bytes | None) -> list[str]:
    """The change as a unified diff, or as one line where that says more."""
    if isinstance(file.content, bytes):
        return [f"file {file.path} ({file.mode:04o}, {len(file.content)} bytes)"]
    if old == file.raw:
        return [f"mode of {file.path}: {file.mode:04o} root"]
    was = "" if old is None else old.decode(errors="replace")
    before = "/dev/null" if old is None else file.path
    lines = difflib.unified_diff(was.splitlines(), file.content.splitlines(), before, file.path, lineterm="")
    return list(lines)


def _adopt(on: Host, host: HostSettings, file: File, old: bytes | None) -> None:
    """Let sshd judge its new configuration; one that it does not take is undone before anything reads it."""
    try:
        done(on, ["mkdir", "-p", "-m", "0755", "/run/sshd"])  # where sshd has never run, its self-test lacks it
        done(on, [SSHD, "-t", "-f", host.paths.sshd_config])
        probe = f"user={host.user},host=localhost,addr=127.0.0.1"
        effective = done(on, [SSHD, "-T", "-f", host.paths.sshd_config, "-C", probe]).out.decode()
        if f"{host.paths.etc}/operator_keys" not in effective:
            raise NeedsHuman(
                f"{host.paths.sshd_config} does not take up {file.path}",
                remedy=f"add the line `Include {file.path}` at the top of {host.paths.sshd_config}",
            )
    except NeedsHuman:
        if old is None:
            done(on, ["rm", "-f", "--", file.path])
        else:
            done(on, ["sh", "-c", STAGE, "sh", file.path, f"{file.mode:o}"], old)
            done(on, ["sh", "-c", MOVE, "sh", file.path])
        raise


def _reload(on: Host, host: HostSettings) -> list[str]:
    """Make sshd read its configuration again; open sessions go on."""
    if host.paths.sshd_pid:
        if on.run(["test", "-s", host.paths.sshd_pid]).code == 0:
            done(on, ["sh", "-c", RELOAD, "sh", host.paths.sshd_pid])
            return ["sshd reloaded"]
        return ["sshd does not run yet"]
    if not _systemd(on):
        return ["no systemd here: send sshd a HUP, so that it reads its configuration"]
    units = ("ssh.service", "sshd.service")
    active = [one for one in units if on.run(["systemctl", "is-active", "--quiet", one]).code == 0]
    for one in active[:1]:
        done(on, ["systemctl", "reload", one])
    return (
        [f"{active[0]} reloaded"]
        if active
        else ["sshd does not run as a service: it reads its configuration when it starts"]
    )


def _service(on: Host, host: HostSettings, dry_run: bool, *, restart: bool) -> list[str]:
    """The reaper runs, in the version installed. Leases are files: a restart touches none."""
    reaper = " ".join(command(host, "reaper"))
    if not _systemd(on):
        return [f"no systemd here: start at boot, before sshd, and now: {reaper}"] if restart else []
    wanted = unit(host)
    said = _file(on, host, wanted, look(on, [wanted.path])[wanted.path], dry_run)
    name = _name(host)
    if dry_run:
        return [*said, f"restart {name}"] if said or restart else []
    if said:
        done(on, ["systemctl", "daemon-reload"])
    if said or restart or on.run(["systemctl", "is-active", "--quiet", name]).code != 0:
        done(on, ["systemctl", "enable", name])
        done(on, ["systemctl", "restart", name])
        said.append(f"{name} restarted")
    done(on, ["systemctl", "is-active", "--quiet", name])
    return said


def _name(host: HostSettings) -> str:
    """The reaper's service, as systemctl calls it."""
    return host.paths.unit.rsplit("/", 1)[1]


def _launched(on: Host, host: HostSettings) -> set[str]:
    """Programs that the launcher on the host starts now: what runs still reads them."""
    text = (_read(on, launcher(host)) or b"").decode(errors="replace")
    return {word for word in text.split('"') if word.startswith(host.paths.lib) and word.endswith(".pyz")}


def _forget_old(on: Host, host: HostSettings, keep: set[str]) -> None:
    """Versions before the last: nothing runs them any more."""
    old = [path for path in _programs_there(on, host) if path not in keep]
    if old:
        done(on, ["rm", "-f", "--", *old])


def _programs_there(on: Host, host: HostSettings) -> list[str]:
    ours = [host.paths.lib, "-maxdepth", "1", "-type", "f", "-regextype", "posix-extended", "-regex", OURS]
    return [path for path in on.run(["find", *ours]).out.decode().split("\n") if path]


def _accounts(on: Host, host: HostSettings) -> list[str]:
    """Accounts by the site's own records and by the holders' group."""
    state = host.paths.state
    ran = on.run(["find", f"{state}/leases", f"{state}/accounts", principals(host), "-type", "f"])
    stems = {line.rsplit("/", 1)[1].removesuffix(".json") for line in ran.out.decode().split("\n") if "/" in line}
    group = on.run(["getent", "group", host.group]).out.decode().strip()
    members: Sequence[str] = group.rsplit(":", 1)[1].split(",") if group.count(":") == 3 else []
    return sorted({stem.removeprefix("tn-") for stem in {*stems, *members} if stem})


def _read(on: Host, path: str) -> bytes | None:
    ran = on.run(["cat", "--", path])
    return ran.out if ran.code == 0 else None


def _systemd(on: Host) -> bool:
    return on.run(["test", "-d", "/run/systemd/system"]).code == 0


__all__ = ["apply", "config", "confirm", "files", "folders", "serve", "take_away", "unit", "version"]
