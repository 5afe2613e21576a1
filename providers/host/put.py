"""Writes files on a host: each is there whole or not at all, and what sudo or sshd reads only if they take it."""

import difflib
import io
import tarfile
from collections.abc import Mapping, Sequence

from providers.host.files import File, Folder
from providers.host.look import Look, look, stands
from providers.host.settings import HostSettings
from providers.host.shell import Host, done
from providers.protocol import NeedsHuman

FOLDERS = 'set -e; while test $# -gt 0; do install -d -o root -g root -m "$1" -- "$2"; shift 2; done'
STAGE = ["tar", "--extract", "--file=-", "--directory=/", "--same-owner", "--same-permissions", "--no-overwrite-dir"]
MOVE = 'set -e; for one; do sync -- "$one.new"; mv -fT -- "$one.new" "$one"; done; sync -- "$(dirname -- "$1")"'
DROP = 'for one; do rm -f -- "$one.new"; done'
RELOAD = 'kill -HUP "$(cat -- "$1")"'
SSHD = "/usr/sbin/sshd"
VISUDO = "/usr/sbin/visudo"


def put_folders(on: Host, wanted: Sequence[Folder], seen: Mapping[str, Look], dry_run: bool) -> list[str]:
    """Make the folders that are missing or not root's with that mode; says which."""
    wrong = [one for one in wanted if seen[one.path].shape != f"{one.mode:o} root root directory"]
    if wrong and not dry_run:
        done(on, ["sh", "-c", FOLDERS, "sh", *(word for one in wrong for word in (f"{one.mode:o}", one.path))])
    return [f"folder {one.path} ({one.mode:04o} root)" for one in wrong]


def put_files(
    on: Host, host: HostSettings, wanted: Sequence[File], seen: Mapping[str, Look], dry_run: bool
) -> list[str]:
    """Write the files that differ, in the order given; says what changed, as diffs."""
    wrong = [file for file in wanted if not stands(file, seen[file.path])]
    if not wrong:
        return []
    old = {file.path: read(on, file.path) for file in wrong if seen[file.path].shape and isinstance(file.content, str)}
    said = describe(wrong, old)
    if dry_run:
        return said
    paths = [file.path for file in wrong]
    done(on, STAGE, archive(wrong))
    if host.paths.sudoers in paths:
        _ask_sudo(on, host, paths)
    done(on, ["sh", "-c", MOVE, "sh", *paths])
    if host.paths.sshd_drop_in in paths:
        _ask_sshd(on, host, old.get(host.paths.sshd_drop_in))
        said += reload_sshd(on, host)
    _confirm(on, wrong)
    return said


def archive(wanted: Sequence[File]) -> bytes:
    """The files beside where they will be, as root's, in one tar."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for file in wanted:
            entry = tarfile.TarInfo(f"{file.path.lstrip('/')}.new")
            entry.size, entry.mode = len(file.raw), file.mode
            tar.addfile(entry, io.BytesIO(file.raw))
    return packed.getvalue()


def describe(wanted: Sequence[File], old: Mapping[str, bytes | None]) -> list[str]:
    """The changes as unified diffs; the program's own files, which nobody edits, as one line for each folder."""
    said = []
    for file in wanted:
        if isinstance(file.content, bytes):
            line = f"program {file.path.rsplit('/', 1)[0]}"
            said += [line] if line not in said else []
            continue
        was = old.get(file.path)
        if was == file.raw:
            said.append(f"mode of {file.path}: {file.mode:04o} root")
            continue
        before = [] if was is None else was.decode(errors="replace").splitlines()
        source = "/dev/null" if was is None else file.path
        said += difflib.unified_diff(before, file.content.splitlines(), source, file.path, lineterm="")
    return said


def read(on: Host, path: str) -> bytes | None:
    ran = on.run(["cat", "--", path])
    return ran.out if ran.code == 0 else None


def reload_sshd(on: Host, host: HostSettings) -> list[str]:
    """Make sshd read its configuration again; open sessions go on."""
    if host.paths.sshd_pid:
        if on.run(["test", "-s", host.paths.sshd_pid]).code == 0:
            done(on, ["sh", "-c", RELOAD, "sh", host.paths.sshd_pid])
            return ["sshd reloaded"]
        return ["sshd does not run yet"]
    if not systemd(on):
        return ["no systemd here: send sshd a HUP, so that it reads its configuration"]
    units = ("ssh.service", "sshd.service")
    active = next((one for one in units if on.run(["systemctl", "is-active", "--quiet", one]).code == 0), None)
    if active is None:
        return ["sshd does not run as a service: it reads its configuration when it starts"]
    done(on, ["systemctl", "reload", active])
    return [f"{active} reloaded"]


def systemd(on: Host) -> bool:
    return on.run(["test", "-d", "/run/systemd/system"]).code == 0


def _ask_sudo(on: Host, host: HostSettings, staged: Sequence[str]) -> None:
    """Let sudo judge its rules before they are in place: broken ones could lock everybody out."""
    try:
        done(on, [VISUDO, "-c", "-q", "-f", f"{host.paths.sudoers}.new"])
    except NeedsHuman:
        done(on, ["sh", "-c", DROP, "sh", *staged])
        raise


def _ask_sshd(on: Host, host: HostSettings, old: bytes | None) -> None:
    """Let sshd judge its new configuration; one that it does not take is undone before anything reads it."""
    drop_in = host.paths.sshd_drop_in
    try:
        done(on, ["mkdir", "-p", "-m", "0755", "/run/sshd"])  # where sshd has never run, its self-test lacks it
        done(on, [SSHD, "-t", "-f", host.paths.sshd_config])
        probe = f"user={host.user},host=localhost,addr=127.0.0.1"
        effective = done(on, [SSHD, "-T", "-f", host.paths.sshd_config, "-C", probe]).out.decode()
        if f"{host.paths.etc}/operator_keys" not in effective:
            raise NeedsHuman(
                f"{host.paths.sshd_config} does not take up {drop_in}",
                remedy=f"add the line `Include {drop_in}` at the top of {host.paths.sshd_config}",
            )
    except NeedsHuman:
        if old is None:
            done(on, ["rm", "-f", "--", drop_in])
        else:
            done(on, STAGE, archive([File(drop_in, 0o644, old)]))
            done(on, ["sh", "-c", MOVE, "sh", drop_in])
        raise


def _confirm(on: Host, written: Sequence[File]) -> None:
    """Read back: somebody else may write the same files."""
    seen = look(on, [file.path for file in written])
    wrong = [file.path for file in written if not stands(file, seen[file.path])]
    if wrong:
        raise NeedsHuman(f"{wrong[0]}: reads back differently", remedy="see who else writes it, then prepare again")
