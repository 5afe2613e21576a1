"""Takes away what `prepare` put on a host; what shows which uids were ever used stays."""

from collections.abc import Sequence

from providers.host.files import ca, config, launcher, operator_keys, principals
from providers.host.look import look
from providers.host.prepare import service, versions
from providers.host.put import read, reload_sshd, systemd
from providers.host.settings import HostSettings
from providers.host.shell import Host, done
from providers.protocol import Refused


def take_away(on: Host, host: HostSettings, *, dry_run: bool) -> list[str]:
    """Says what was (or would be) removed. Refused while accounts are there: their ends would be nobody's."""
    there = _accounts(on, host)
    if there:
        raise Refused(f"site {host.site}: {len(there)} accounts are there ({', '.join(there[:3])}): end them first")
    said = []
    if not systemd(on):
        said.append("no systemd here: stop the reaper, and what starts it")
    elif read(on, host.paths.unit) is not None:
        said.append(f"stop and disable {service(host)}")
        if not dry_run:
            done(on, ["systemctl", "disable", "--now", service(host)])
    present = [path for path, seen in look(on, _ours(on, host)).items() if seen.shape]
    said += [f"remove {path}" for path in present]
    if not dry_run and present:
        done(on, ["rm", "-rf", "--", *present])
        done(on, ["rmdir", "--ignore-fail-on-non-empty", "--", host.paths.lib, host.paths.etc])
        reload_sshd(on, host)
    said += _logins(on, host, dry_run)
    changed = present or len(said) > 1
    return [*said, f"keep {host.paths.state} (which uids were ever used)"] if changed else []


def _ours(on: Host, host: HostSettings) -> list[str]:
    """What `prepare` ever put there. lib and etc go only if nobody else has put anything into them."""
    single = [launcher(host), config(host), host.paths.sudoers, host.paths.sshd_drop_in, host.paths.unit]
    return [*single, ca(host), operator_keys(host), principals(host), host.paths.run, *versions(on, host)]


def _logins(on: Host, host: HostSettings, dry_run: bool) -> list[str]:
    said = []
    for kind, name, argv in (("passwd", host.user, ["userdel", "--force"]), ("group", host.group, ["groupdel"])):
        if on.run(["getent", kind, name]).code == 0:
            said.append(f"remove {'user' if kind == 'passwd' else 'group'} {name}")
            if not dry_run:
                done(on, [*argv, name])
    return said


def _accounts(on: Host, host: HostSettings) -> list[str]:
    """Accounts by the site's own records and by the holders' group."""
    state = host.paths.state
    ran = on.run(["find", f"{state}/leases", f"{state}/accounts", principals(host), "-type", "f"])
    stems = {line.rsplit("/", 1)[1].removesuffix(".json") for line in ran.out.decode().split("\n") if "/" in line}
    group = on.run(["getent", "group", host.group]).out.decode().strip()
    members: Sequence[str] = group.rsplit(":", 1)[1].split(",") if group.count(":") == 3 else []
    return sorted({stem.removeprefix("tn-") for stem in {*stems, *members} if stem})
