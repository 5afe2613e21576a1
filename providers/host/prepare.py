"""Puts on a host what it needs to end accounts alone, over a login given for this once; safe with live accounts."""

from collections.abc import Set as AbstractSet

from providers.host import program
from providers.host.files import command, config, files, folders, launcher, unit, version_folder
from providers.host.look import look, stands
from providers.host.onsite import site
from providers.host.put import put_files, put_folders, read, systemd
from providers.host.settings import HostSettings
from providers.host.shell import Host, done
from providers.protocol import NeedsHuman

PACKAGES = {"python3": "python3", "visudo": "sudo", "sshd": "openssh-server"}
"""What is needed beside what `site check` looks for: program → the Debian package that has it."""

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
LOOK = f'PATH={PATH}; for one; do command -v "$one" >/dev/null || echo "$one"; done'
LOGINS = 'getent group "$1" >/dev/null && echo group; getent passwd "$2" >/dev/null && echo user; :'
VERSION = r".*/[0-9a-f]{16}"


def version() -> str:
    """Of the on-site program that `apply` installs."""
    return program.version()


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
    said = _programs(on, host, dry_run)
    said += _logins(on, host, dry_run)
    wanted, places = files(host, ca_public, operator_public), folders(host)
    seen = look(on, [*(one.path for one in places), *(one.path for one in wanted)])
    restart = any(not stands(file, seen[file.path]) for file in wanted if file.path in (launcher(host), config(host)))
    before = _launched(on, host)
    said += put_folders(on, places, seen, dry_run)
    said += put_files(on, host, wanted, seen, dry_run)
    said += _service(on, host, dry_run, restart=restart)
    if said and not dry_run:
        _forget_old(on, host, keep={version_folder(host)} | before)
    return said


def service(host: HostSettings) -> str:
    """The reaper's service, as systemctl calls it."""
    return host.paths.unit.rsplit("/", 1)[1]


def versions(on: Host, host: HostSettings) -> list[str]:
    """Folders of every version that is on the host."""
    ours = [host.paths.lib, "-maxdepth", "1", "-type", "d", "-regextype", "posix-extended", "-regex", VERSION]
    return [path for path in on.run(["find", *ours]).out.decode().split("\n") if path]


def needed(host: HostSettings) -> dict[str, str]:
    """Programs that the host must have, each with its Debian package."""
    return {**PACKAGES, **site.programs(slurm=host.slurm is not None)}


def _programs(on: Host, host: HostSettings, dry_run: bool) -> list[str]:
    wanted = needed(host)
    missing = done(on, ["sh", "-c", LOOK, "sh", *wanted]).out.decode().split()
    packages = sorted({wanted[one] for one in missing})
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


def _service(on: Host, host: HostSettings, dry_run: bool, *, restart: bool) -> list[str]:
    """The reaper runs, in the version installed. Leases are files: a restart touches none."""
    if not systemd(on):
        reaper = " ".join(command(host, "reaper"))
        return [f"no systemd here: start at boot, before sshd, and now: {reaper}"] if restart else []
    wanted, name = unit(host), service(host)
    said = put_files(on, host, [wanted], look(on, [wanted.path]), dry_run)
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


def _launched(on: Host, host: HostSettings) -> set[str]:
    """The folder from which the launcher on the host starts now: what runs may still read from there."""
    text = (read(on, launcher(host)) or b"").decode(errors="replace")
    return {word for word in text.split('"') if word.startswith(f"{host.paths.lib}/")}


def _forget_old(on: Host, host: HostSettings, keep: AbstractSet[str]) -> None:
    """Versions before the last: nothing runs them any more."""
    old = [path for path in versions(on, host) if path not in keep]
    if old:
        done(on, ["rm", "-rf", "--", *old])
