"""`tenure serve` and `worker` as processes of their own: they open, work, and stop in good order when told to."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.entry.cli_home import made

WITHIN = 60


@contextmanager
def process(home: Path, *words: str) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    """`tenure …` as a process, and the first line that it says."""
    command = [sys.executable, "-c", "from orchestrator.entry.cli.main import run; run()", *words]
    with subprocess.Popen(command, env={**os.environ, "TENURE_HOME": str(home)}, stderr=subprocess.PIPE, text=True,
                          stdout=subprocess.DEVNULL) as started:
        assert started.stderr is not None
        try:
            yield started, started.stderr.readline()
        finally:
            started.kill()


def test_serve_opens_its_doors_and_stops_when_told_to(tmp_path: Path) -> None:
    """It says where it listens, answers there, and ends with 0 after SIGTERM."""
    home = made(tmp_path)
    with process(home.folder, "serve", "--port", "0") as (server, said):
        url = re.search(r"http://127\.0\.0\.1:\d+", said)
        assert url is not None, said
        answer = httpx.get(f"{url[0]}/healthz", timeout=WITHIN)
        server.send_signal(signal.SIGTERM)
        assert (answer.status_code, server.wait(WITHIN)) == (200, 0)


def test_a_port_that_is_taken_is_said_in_one_line(tmp_path: Path) -> None:
    """No traceback: the address, why, and what to do."""
    home = made(tmp_path)
    with process(home.folder, "serve", "--port", "0") as (_, said):
        port = said.strip().rpartition(":")[2]
        other = home("serve", "--port", port, "--no-worker")
    assert (other.code, len(other.err.splitlines())) == (1, 1)
    assert f"127.0.0.1:{port}: Address already in use; " in other.err


def test_the_log_has_civil_times_with_their_offset(tmp_path: Path) -> None:
    """As everywhere else."""
    with process(made(tmp_path).folder, "worker") as (worker, _):
        worker.send_signal(signal.SIGTERM)
        assert worker.stderr is not None
        lines = worker.stderr.read().splitlines()
    told = next(line for line in lines if "told to stop" in line)
    assert re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}\+08:00 INFO ", told), told


def test_a_worker_stops_when_told_to(tmp_path: Path) -> None:
    """Alone, without doors."""
    with process(made(tmp_path).folder, "worker") as (worker, said):
        assert said.startswith("tenure worker ")
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(WITHIN) == 0
