"""A text for the holder: in the terminals that are open now, and at each later login. Empty text takes it down."""

import contextlib
import os
import stat
from pathlib import Path

from . import files, names, paths, processes, spec
from .config import Config
from .errors import Refused

LONGEST = 2000


def put(config: Config, account: str, text: str) -> None:
    """Keep the text and show it now; Refused when it is too long."""
    if len(text) > LONGEST:
        raise Refused(f"notice: longer than {LONGEST} characters")
    clean = "".join(letter for letter in text if letter.isprintable() or letter == "\n")
    path = paths.notice(config, account)
    if pending(config, account) == clean:
        return
    if not clean:
        files.remove(path)
        return
    files.write(path, clean)
    for terminal in terminals(config, account):
        show(terminal, clean)


def pending(config: Config, account: str) -> str:
    """What to show at a login, or an empty text."""
    try:
        return paths.notice(config, account).read_text()
    except FileNotFoundError:
        return ""


def terminals(config: Config, account: str) -> set[Path]:
    """Terminals that the account's processes hold open. Only real ones: a holder may link to anything."""
    known = spec.read(config, account)
    found: dict[int, Path] = {}
    for pid in processes.alive(config, {names.check(account): known.uid if known else None}):
        for number in range(3):
            with contextlib.suppress(OSError):
                link = Path(f"/proc/{pid}/fd/{number}")
                if os.readlink(link).startswith("/dev/pts/"):
                    found[os.stat(link).st_rdev] = link
    return set(found.values())


def show(terminal: Path, text: str) -> None:
    """Write without ever waiting for a terminal that nobody reads."""
    with contextlib.suppress(OSError):
        handle = os.open(terminal, os.O_WRONLY | os.O_NOCTTY | os.O_NONBLOCK)
        try:
            if stat.S_ISCHR(os.fstat(handle).st_mode):
                os.write(handle, ("\r\n" + text.replace("\n", "\r\n") + "\r\n").encode())
        finally:
            os.close(handle)
