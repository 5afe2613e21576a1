"""A place where programs see an account's files, cannot change them, and see nothing else: no network, no /proc, no
other account, no /etc of the host's. For the holder's rescue and the operator's export."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from . import names, paths, sandbox, seccomp
from .config import Config
from .spec import Account

ALONE = ("--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try", "--unshare-net")
EXPORT = "/export"


def argv(config: Config, words: Sequence[str], command: Sequence[str]) -> tuple[list[str], list[int]]:
    """What to start for `command` where the mounts `words` are, and the descriptors that it must inherit."""
    fed = sandbox.Fed()
    told = ["--die-with-parent", "--new-session", *ALONE, "--hostname", sandbox.host(config), *root(), *words]
    told += ["--remount-ro", "/", "--seccomp", fed.hold(seccomp.shell())]
    handle = fed.hold("".join(f"{word}\0" for word in told).encode())
    return ["bwrap", "--args", handle, "--", *command], fed.handles


def root() -> Iterator[str]:
    """The host's programs and libraries, and a /dev with nothing but null."""
    yield from sandbox.programs()
    yield from ("--perms", "0755", "--dir", "/dev", "--dev-bind", "/dev/null", "/dev/null")


def sftp(config: Config, account: Account) -> tuple[list[str], list[int]]:
    """The host's SFTP server as the account's user, on what can be written before the end."""
    user, uid = names.unix(account.id), str(account.uid)
    home = sandbox.home(config, account)
    words = ["--perms", "0755", "--dir", "/etc"]
    fed = sandbox.Fed()
    for name, text in (("passwd", f"{user}:x:{uid}:{uid}::{home}:/\n"), ("group", f"{user}:x:{uid}:\n")):
        words += ["--perms", "0644", "--ro-bind-data", fed.hold(text.encode()), f"/etc/{name}"]
    for folder in sorted({above for above in Path(home).parents if len(above.parts) > 1}):
        words += ["--perms", "0755", "--dir", str(folder)]
    words += ["--perms", "0755", "--dir", "/var"]
    for source, target in sandbox.places(config, account):
        words += ["--ro-bind", str(source), target]
    words += ["--symlink", home.lstrip("/"), "/work", "--chdir", home]
    drop = ["setpriv", "--reuid", uid, "--regid", uid, "--clear-groups", "--inh-caps=-all", "--bounding-set=-all"]
    told, handles = argv(config, words, [*drop, "--no-new-privs", "--", sandbox.sftp(), "-R"])
    return told, [*handles, *fed.handles]


def tar(config: Config, account: str, include: Sequence[str]) -> tuple[list[str], list[int]]:
    """tar of the account's files to stdout, as root with no capability but to read. Names begin with the account's id;
    owners and setuid bits, which mean somebody else elsewhere, are left out."""
    words = ["--perms", "0755", "--dir", EXPORT, "--perms", "0755", "--dir", f"{EXPORT}/{account}"]
    places = [source(config, account) for source in (paths.home, paths.tmp, paths.vartmp, paths.shm)]
    for path in places:
        words += ["--ro-bind", str(path), f"{EXPORT}/{account}/{path.name}"]
    words += ["--chdir", EXPORT, "--cap-drop", "ALL", "--cap-add", "CAP_DAC_READ_SEARCH"]
    options = ["--create", "--file=-", "--format=posix", "--pax-option=delete=atime,delete=ctime", "--sparse"]
    options += ["--owner=0", "--group=0", "--numeric-owner", "--mode=ug-s", "--warning=no-file-ignored"]
    # not the folder above them, which is new each time: the same files give the same tar
    wanted = [f"{account}/home/{one}" for one in include] or [f"{account}/{path.name}" for path in places]
    return argv(config, words, ["tar", *options, "--", *wanted])
