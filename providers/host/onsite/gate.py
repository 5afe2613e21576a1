"""The gate: what a holder's SSH login runs instead of a shell of the host's.

sshd runs `sudo -n … gate` as the account's user. Who it is comes from sudo alone. The gate enters the account's cgroup
first and reads the lease second: a fence in between finds it in the cgroup, one before it is seen in the lease.
"""

import contextlib
import errno
import os
import pwd
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping

from . import boot, cgroups, commands, door, errand, lease, names, notice, podman, readonly, rescue, sandbox, spec
from .config import Config
from .errors import Later, Refused, SiteFault
from .spec import Account

CLOSED = 77
"""Exit status when the holder may not come in; EX_NOPERM."""
CONTAINERS = ("Containers: `container`.", "容器命令:container。")
JOBS = ("Jobs: `sbatch`, `srun`, `squeue`, `scancel`.", "作业命令:sbatch、srun、squeue、scancel。")
NOT_DONE = 125
"""Exit status when a command about containers was refused, as podman's own."""


def main(config: Config, environment: Mapping[str, str] = os.environ) -> int:
    """Let the holder in, as their lease allows, and return the exit status of what they ran."""
    asked = environment.get("SSH_ORIGINAL_COMMAND", "")
    try:
        account = who(config, environment)
        if rescue.going_on(config, account.id):
            return fetch(config, account, asked)
        cgroups.enter(config, account.id)
        admit(config, account.id)
    except SiteFault as error:
        return said(error, CLOSED)
    words = container_words(asked)
    if words is not None and (config.slurm is None or asked.split()[0] == "container"):
        podman.step_aside(config, account.id)
        return answer(config, account, words)
    try:
        return shell(config, account, asked, environment)
    except SiteFault as error:
        return said(error, CLOSED)
    except OSError as error:
        return said(in_the_way(account, error), CLOSED)


def fetch(config: Config, account: Account, asked: str) -> int:
    """After the end: the holder's own files by SFTP, read-only, and nothing else."""
    rescue.enter(config, account)
    with rescue.place(config, account.id):
        until = rescue.admit(config, account.id)
        if not sandbox.asks_for_files(asked):
            when = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(until))
            raise Refused(
                f"this account has ended. Until {when} `sftp` (or `scp`) fetches its files; nothing else runs\n"
                f"账户已到期。{when} 之前仅可用 sftp 或 scp 取回文件。"
            )
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        argv, handles = readonly.sftp(config, account)
        process = subprocess.Popen(argv, env={"PATH": sandbox.PATH}, pass_fds=handles, cwd="/")
        with ending_with(process):
            rescue.attend(config, account.id, process)
    return process.returncode if process.returncode >= 0 else 128 - process.returncode


def who(config: Config, environment: Mapping[str, str]) -> Account:
    """The account whose user called sudo. Refused when that is nobody's, or the host and the ledger disagree."""
    user, number = environment.get("SUDO_USER", ""), environment.get("SUDO_UID", "")
    account = names.of(user)
    if account is None or not number.isdigit():
        raise Refused("the gate is for holders' logins, through sudo")
    known = spec.read(config, account)
    try:
        uid = pwd.getpwnam(user).pw_uid
    except KeyError:
        uid = -1
    if known is None or not known.uid == uid == int(number):
        raise Refused(f"{user}: is no account of this site")
    return known


def admit(config: Config, account: str) -> lease.Lease:
    """The lease, when its holder may use the account now; else Refused."""
    known = lease.read(config, account)
    if known is None or not known.usable(time.time()):
        raise Refused("this account is closed: its time is over, or it was frozen\n账户已关闭:已到期或已被冻结。")
    if not boot.ready(config, account):
        raise Refused("this site has just restarted, try again shortly\n站点刚刚重启,请稍后再试。")
    return known


def container_words(asked: str) -> list[str] | None:
    """The words about containers in an SSH command, or None when it is for the shell."""
    first = asked.split(maxsplit=1)[0] if asked.strip() else ""
    if first != "container" and first not in {*commands.OPTIONS, *commands.ALIASES} - SHELL_WORDS:
        return None
    words = commands.plain_words(asked)
    return words if words is None or first != "container" else words[1:]


SHELL_WORDS = {"ls", "ps"}
"""Commands about containers that mean something else in a shell; there they need `container` before them."""


def answer(config: Config, account: Account, words: list[str], line: socket.socket | None = None) -> int:
    """Do a request about containers; a refusal is told and is an exit status."""
    try:
        if config.slurm is not None:
            raise Refused(f"this site runs no containers. {JOBS[0]}\n本站点不运行容器。{JOBS[1]}")
        return errand.do(config, account, words, lambda: admit(config, account.id), line)
    except SiteFault as error:
        return said(error, NOT_DONE)
    except OSError as error:
        return said(in_the_way(account, error), NOT_DONE)


def in_the_way(account: Account, error: OSError) -> SiteFault:
    """What the host refused, in words that help its holder; paths of the host are not among them."""
    if error.errno == errno.EAGAIN:
        return Later(
            f"your account's {account.spec.pids} processes are all in use: `ssh … container stop NAME` frees some\n"
            f"账户的 {account.spec.pids} 个进程已用完,请先停止一个容器。"
        )
    return Later(f"the site could not do this: {error.strerror}")


def shell(config: Config, account: Account, asked: str, environment: Mapping[str, str]) -> int:
    """Run the login's shell, its command or the SFTP server, confined; `container` works in it."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if not asked and os.isatty(1):
        greet(config, account)
    with contextlib.closing(door.Door(config, account)) as way:
        client = door.client() if config.slurm is None else None
        argv, handles = sandbox.argv(config, account, program(asked), client, way.path)
        variables = sandbox.variables(config, account, environment)
        process = subprocess.Popen(argv, env=variables, pass_fds=handles, cwd="/")
        podman.step_aside(config, account.id)
        with ending_with(process):
            way.serve(process, lambda words, line: answer(config, account, words, line))
    return process.returncode if process.returncode >= 0 else 128 - process.returncode


def program(asked: str) -> list[str]:
    """What runs in the sandbox."""
    if sandbox.asks_for_files(asked):
        return [sandbox.sftp()]
    return [sandbox.shell(), "-c", asked] if asked else [sandbox.shell(), "-l"]


@contextlib.contextmanager
def ending_with(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """When the login goes away, so does all that it ran; the terminal's Ctrl-C is for what runs inside."""

    def on(number: int, frame: object) -> None:
        if number not in (signal.SIGINT, signal.SIGQUIT):
            process.kill()

    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, on)
    try:
        yield
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def greet(config: Config, account: Account) -> None:
    """Tell when the account ends, and what Tenure wants its holder to know."""
    ends = admit(config, account.id).end
    left = max(0, int(ends - time.time()))
    when = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(ends))
    hours, minutes = divmod(left // 60, 60)
    what = JOBS if config.slurm is not None else CONTAINERS
    lines = [
        f"This account ends at {when}, in {hours} h {minutes} min. {what[0]}",
        f"本账户将于 {when} 到期,剩余 {hours} 小时 {minutes} 分钟。{what[1]}",
    ]
    lines += notice.pending(config, account.id).splitlines()
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()


def said(error: SiteFault, code: int) -> int:
    sys.stderr.write(f"{error}\n")
    sys.stderr.flush()
    return code
