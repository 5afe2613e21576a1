"""A PostgreSQL server of the tests' own: in a temporary folder, on a unix socket, stopped at the end."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest


def binaries() -> Path:
    """The folder of the newest server installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[-3]))
    on_path = shutil.which("postgres")
    if not found and on_path is None:
        pytest.fail("PostgreSQL's server is not installed; do: apt-get install postgresql")
    return found[-1].parent if found else Path(str(on_path)).resolve().parent


def as_postgres() -> dict[str, Any]:
    """How to start it: the server refuses to run as root."""
    return {"user": "postgres", "group": "postgres", "extra_groups": []} if os.geteuid() == 0 else {}


@contextmanager
def server() -> Iterator[str]:
    """A running server; gives the URL of its socket with `{}` where a database's name goes."""
    folder = Path(tempfile.mkdtemp(prefix="tenure-postgres-"))
    data = folder / "data"
    try:
        if as_postgres():
            shutil.chown(folder, "postgres", "postgres")
        subprocess.run([binaries() / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync"],
                       check=True, capture_output=True, cwd=folder, timeout=120, **as_postgres())
        settings = {"listen_addresses": "", "unix_socket_directories": str(folder), "fsync": "off",
                    "max_connections": "150", "timezone": "Asia/Shanghai"}
        with (folder / "log").open("wb") as log, subprocess.Popen(
                [binaries() / "postgres", "-D", data, *(f"--{name}={value}" for name, value in settings.items())],
                stdout=log, stderr=log, cwd=folder, **as_postgres()) as process:
            try:
                _wait_for(folder, process)
                yield f"postgresql://postgres@/{{}}?host={folder}"
            finally:
                process.send_signal(signal.SIGQUIT)  # nothing in it is kept: no last checkpoint
                process.wait(timeout=60)
    finally:
        shutil.rmtree(folder)


def _wait_for(folder: Path, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            psycopg.connect(host=str(folder), user="postgres", dbname="postgres", connect_timeout=5).close()
            return
        except psycopg.OperationalError:
            if process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"PostgreSQL did not start: {(folder / 'log').read_text()}")
            time.sleep(0.05)


def run(url: str, statement: str) -> None:
    """One statement outside any transaction."""
    with psycopg.connect(url, autocommit=True, connect_timeout=10) as connection:
        connection.execute(statement.encode())
