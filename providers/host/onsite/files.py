"""Small files that survive a crash: written aside, synced, renamed into place."""

import contextlib
import json
import os
import tempfile
from pathlib import Path
from typing import Any


def write(path: Path, content: str, *, mode: int = 0o600, sync: bool = True) -> None:
    """Replace `path` by `content` at once or not at all; `sync` makes it survive a power cut."""
    handle, aside = tempfile.mkstemp(prefix=".", dir=path.parent)
    try:
        with os.fdopen(handle, "w") as file:
            file.write(content)
            file.flush()
            os.fchmod(file.fileno(), mode)
            if sync:
                os.fsync(file.fileno())
        os.rename(aside, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(aside)
        raise
    if sync:
        settle(path.parent)


def write_json(path: Path, value: Any) -> None:
    write(path, json.dumps(value, sort_keys=True) + "\n")


def read_json(path: Path) -> Any:
    """What `path` holds, or None when it is not there. ValueError when it is not JSON."""
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        return None


def remove(path: Path, *, sync: bool = True) -> None:
    """Take `path` away; already gone is success."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
        if sync:
            settle(path.parent)


def tidy(folder: Path) -> None:
    """Take away what a killed writer left aside here. Only for whom nobody else writes beside."""
    for entry in os.scandir(folder):
        if entry.name.startswith(".") and entry.is_file(follow_symlinks=False):
            remove(Path(entry.path), sync=False)


def settle(folder: Path) -> None:
    """Make the folder's last renames and removals durable."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def folder(path: Path, *, mode: int = 0o700) -> None:
    """Make `path` root's with exactly this mode; there already is success."""
    path.mkdir(parents=True, exist_ok=True)
    if path.stat().st_mode & 0o7777 != mode:
        path.chmod(mode)
