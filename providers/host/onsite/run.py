"""The one place where another program is started: argv only, always with a time-out."""

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

from .errors import Human, Later

ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"}


@dataclass(frozen=True)
class Ran:
    """How a program ended and what it said."""

    code: int
    out: str
    err: str

    @property
    def said(self) -> str:
        return readable(self.err.strip() or self.out.strip() or "nothing")[-500:]


def run(
    argv: Sequence[str],
    *,
    timeout: float = 30.0,
    input: str | None = None,
    check: bool = True,
    environment: dict[str, str] | None = None,
) -> Ran:
    """Run `argv` and wait for at most `timeout` seconds. Raises Later when it fails (unless `check` is off) or takes
    too long, Human when there is no such program."""
    try:
        done = subprocess.run(
            argv,
            input=input,
            stdin=subprocess.DEVNULL if input is None else None,
            capture_output=True,
            text=True,
            errors="surrogateescape",
            timeout=timeout,
            env={**ENVIRONMENT, **(environment or {})},
        )
    except FileNotFoundError as error:
        raise Human(f"{argv[0]}: no such program", f"install the package that has {argv[0]}") from error
    except subprocess.TimeoutExpired as error:
        raise Later(f"{' '.join(argv[:4])}: not done after {timeout:g} s") from error
    ran = Ran(done.returncode, done.stdout, done.stderr)
    if check and ran.code != 0:
        raise Later(f"{' '.join(argv)[:300]}: exit {ran.code}: {ran.said}")
    return ran


def readable(text: str) -> str:
    """Text for people: a byte that is no UTF-8, as a holder may have put into a name, shows as a mark."""
    return text.encode(errors="surrogateescape").decode(errors="replace")
