"""The confined shell of a login: what bubblewrap is told, and what lies in its /etc.

Own PID, IPC, UTS, cgroup and mount namespaces, the account's network; read-only /usr and a few files of /etc; home,
/tmp, /var/tmp and /dev/shm from the account's subvolume, so inside its quota; no capability, no way to gain one.

bubblewrap starts as root and makes no user namespace: hosts may forbid those, and files keep their owners. The terminal
stays the login's own (`--new-session` would take job control away); the filter denies typing into it for somebody else.
"""

import os
import pwd
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from . import lease, names, paths, seccomp
from .config import Config
from .errors import Human
from .spec import Account

BIN = "/run/tenure/bin"
DOOR = "/run/tenure/door"
PATH = f"/usr/local/bin:/usr/bin:/bin:{BIN}"
ETC = (
    *("alternatives", "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "ssl/certs", "ssl/openssl.cnf", "ca-certificates"),
    *("localtime", "timezone", "services", "protocols", "terminfo", "inputrc", "bash.bashrc", "magic", "mime.types"),
    *("resolv.conf", "gai.conf", "pki", "vim", "nanorc", "perl", "python3", "python3.11", "fonts", "gitconfig"),
)
KEPT = ("TERM", "LANG", "LANGUAGE", "TZ", "COLORTERM")
"""Variables of the login that reach the shell, with those that begin with LC_."""
MOST_MINUTES = 366 * 24 * 60
SFTP = ("/usr/lib/openssh/sftp-server", "/usr/libexec/openssh/sftp-server", "/usr/lib/ssh/sftp-server")


@dataclass
class Fed:
    """Small files that exist in the sandbox alone; each is handed over as an open descriptor."""

    handles: list[int] = field(default_factory=list)

    def hold(self, content: bytes) -> str:
        """The number of a descriptor from which bubblewrap reads `content`."""
        handle = os.memfd_create("tenure")
        os.write(handle, content)
        os.lseek(handle, 0, os.SEEK_SET)
        self.handles.append(handle)
        return str(handle)


def argv(
    config: Config, account: Account, command: Sequence[str], client: str | None, door: Path
) -> tuple[list[str], list[int]]:
    """What to start for `command`, and the descriptors that it must inherit. `client` is the text of `container`."""
    fed = Fed()
    words = ["--die-with-parent", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try"]
    words += ["--hostname", host(config), *root(), *etc(config, account, fed), *cluster(config, account)]
    words += storage(config, account)
    for model in account.spec.models:
        if model in config.models:
            words += ["--ro-bind", str(config.models[model]), f"/models/{model}"]
    if client is not None:
        words += ["--perms", "0755", "--ro-bind-data", fed.hold(client.encode()), f"{BIN}/container"]
        words += ["--ro-bind", str(door), DOOR]
    words += ["--remount-ro", "/", "--chdir", home(config, account), "--seccomp", fed.hold(seccomp.shell())]
    # Through a descriptor, as the holder can read the arguments of their first process: no path of the host in them.
    told = fed.hold("".join(f"{word}\0" for word in words).encode())
    uid = str(account.uid)
    drop = ["setpriv", "--reuid", uid, "--regid", uid, "--clear-groups", "--inh-caps=-all", "--bounding-set=-all"]
    outer = ["nsenter", f"--net={paths.netns(account.id)}", "bwrap", "--args", told]
    return [*outer, "--", *drop, "--no-new-privs", "--", *command], fed.handles


def host(config: Config) -> str:
    """The site's name where a prompt shows the host's."""
    return "".join(one for one in config.site if one.isascii() and (one.isalnum() or one in "-."))[:60] or "site"


def home(config: Config, account: Account) -> str:
    """Where the holder's files are inside. On a Slurm site it is the host's own path, as jobs run outside with it."""
    return str(paths.home(config, account.id)) if config.slurm else f"/home/{names.unix(account.id)}"


def cluster(config: Config, account: Account) -> Iterator[str]:
    """What Slurm's own commands read: its configuration and munge's socket, by which it knows the holder's uid; and
    the folders down to these and to the holder's home, which bubblewrap would make for root alone."""
    if config.slurm is not None:
        places = (config.slurm.conf, config.slurm.munge, paths.home(config, account.id))
        for folder in sorted({above for place in places for above in place.parents if len(above.parts) > 2}):
            yield from ("--perms", "0755", "--dir", str(folder))
        for place in places[:2]:
            yield from ("--ro-bind", str(place), str(place))


def slurm_user(config: Config) -> str:
    """The row of Slurm's own user: its commands do not start without."""
    if config.slurm is None:
        return ""
    rows = (row.partition("=") for row in config.slurm.conf.read_text().splitlines())
    name = next((value.strip() for key, _, value in rows if key.strip().lower() == "slurmuser"), "root")
    try:
        user = pwd.getpwnam(name)
    except KeyError:
        return ""
    return f"{name}:x:{user.pw_uid}:{user.pw_gid}::/:/usr/sbin/nologin\n" if user.pw_uid else ""


def root() -> Iterator[str]:
    """The host's programs and libraries, read-only, and fresh /proc and /dev."""
    yield from programs()
    yield from ("--proc", "/proc", "--dev", "/dev")
    for name in ("/etc", "/etc/ssl", "/home", "/models", "/run", "/run/tenure", BIN, "/var"):
        yield from ("--perms", "0755", "--dir", name)


def programs() -> Iterator[str]:
    """The host's programs and libraries, read-only."""
    yield from ("--ro-bind", "/usr", "/usr")
    for name in ("bin", "sbin", "lib", "lib32", "lib64", "libx32"):
        path = Path("/", name)
        if path.is_symlink():
            yield from ("--symlink", os.readlink(path), str(path))
        elif path.is_dir():
            yield from ("--ro-bind", str(path), str(path))


def places(config: Config, account: Account) -> list[tuple[Path, str]]:
    """Everything that can be written lies in the account's subvolume: where it is there, and where inside."""
    return [
        (paths.home(config, account.id), home(config, account)),
        (paths.tmp(config, account.id), "/tmp"),  # noqa: S108 - the account's own
        (paths.vartmp(config, account.id), "/var/tmp"),  # noqa: S108 - the account's own
        (paths.shm(config, account.id), "/dev/shm"),  # noqa: S108 - the account's own
    ]


def storage(config: Config, account: Account) -> Iterator[str]:
    for source, target in places(config, account):
        yield from ("--bind", str(source), target)
    yield from ("--symlink", home(config, account).lstrip("/"), "/work")


def etc(config: Config, account: Account, fed: Fed) -> Iterator[str]:
    """The files of /etc that programs need, and our own where the host's would tell of other accounts."""
    for name in ETC:
        path = Path("/etc", name).resolve()
        if path.name == "stub-resolv.conf" and path.with_name("resolv.conf").exists():
            path = path.with_name("resolv.conf")  # the stub listens in the host's network alone
        if path.exists():
            yield from ("--ro-bind", str(path), f"/etc/{name}")
    user, uid = names.unix(account.id), account.uid
    nobody = "/usr/sbin/nologin\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n"
    own = {
        "passwd": f"{user}:x:{uid}:{uid}::{home(config, account)}:{shell()}\nroot:x:0:0:root:/root:{nobody}"
        + slurm_user(config),
        "group": f"root:x:0:\ntty:x:5:\n{user}:x:{uid}:\nnogroup:x:65534:\n",
        "hosts": f"127.0.0.1 localhost {host(config)}\n::1 localhost\n",
        "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\nservices: files\nprotocols: files\n",
        "hostname": f"{host(config)}\n",
        "profile": f"export PATH={PATH}\n[ ! -r /etc/bash.bashrc ] || . /etc/bash.bashrc\n",
    }
    for name, content in own.items():
        yield from ("--perms", "0644", "--ro-bind-data", fed.hold(content.encode()), f"/etc/{name}")


def shell() -> str:
    return next((path for path in ("/usr/bin/bash", "/bin/bash") if Path(path).exists()), "/bin/sh")


def variables(config: Config, account: Account, given: Mapping[str, str]) -> dict[str, str]:
    """The whole environment of the shell: nothing of root's, of the holder's login only how to show text."""
    kept = {name: value for name, value in given.items() if name in KEPT or name.startswith("LC_")}
    user = names.unix(account.id)
    own = {"HOME": home(config, account), "USER": user, "LOGNAME": user, "SHELL": shell(), "PATH": PATH}
    return {**kept, **own, **asking(config, account)}


def asking(config: Config, account: Account) -> dict[str, str]:
    """What a holder need not say with every job: the reservation, and a time limit that ends with the lease."""
    if config.slurm is None:
        return {}
    known = lease.read(config, account.id)
    left = max(1, int((known.end if known else 0) - time.time()) // 60)
    said = {"TIMELIMIT": str(min(left, MOST_MINUTES))}
    said |= {"RESERVATION": names.unix(account.id)} if config.slurm.reserves else {}
    commands = ("SBATCH", "SALLOC", "SLURM")
    asked = {f"{command}_{name}": value for command in commands for name, value in said.items()}
    return {"SLURM_CONF": str(config.slurm.conf), **asked}


def asks_for_files(asked: str) -> bool:
    """Whether an SSH command is the SFTP subsystem, as sshd names it."""
    return asked == "internal-sftp" or asked.split(" ")[0] in SFTP


def sftp() -> str:
    """The host's SFTP server; run confined it serves the holder's own files. Human when there is none."""
    found = next((path for path in SFTP if Path(path).exists()), None)
    if found is None:
        raise Human("this host has no sftp-server", "apt-get install openssh-sftp-server")
    return found
