"""How long a platform waits for the 202 of a redemption, at a steady rate, beside the raw floor in the same run.

Open loop: requests start on time whether or not earlier ones were answered, and waiting for a slow answer counts.
The floor is a bare FastAPI app that commits one row to SQLite (WAL, synchronous=FULL) for each request.

    python -m tests.bench.accept [--rate 100] [--seconds 20]
"""

import argparse
import asyncio
import json
import os
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Lock
from typing import Any

import uvicorn
from fastapi import FastAPI, Request
from fastapi.concurrency import run_in_threadpool

from orchestrator.app import App
from orchestrator.entry.http.app import create_app
from orchestrator.store import senders, sites, vouchers
from orchestrator.store.sites import Places, SiteRow
from tests.entry.http_world import OFFER, redemption, signed


@dataclass(frozen=True, slots=True)
class Seen:
    """One run: milliseconds from when each request was due to when its answer was there."""

    name: str
    count: int
    accepted: int
    p50: float
    p90: float
    p99: float
    worst: float
    cpu: float
    """Milliseconds of the server's CPU for each request."""

    def line(self) -> str:
        """For people."""
        return (f"{self.name:<22} {self.accepted}/{self.count} accepted   p50 {self.p50:6.1f}  p90 {self.p90:6.1f}"
                f"  p99 {self.p99:6.1f}  worst {self.worst:6.1f} ms   server CPU {self.cpu:.1f} ms each")


def serve(kind: str, home: Path, descriptor: int) -> None:
    """The server's process."""
    app = floor(home) if kind == "floor" else create_app(App.open(home).ctx)
    listening = socket.socket(fileno=descriptor)
    uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False, lifespan="off")).run(sockets=[listening])


def floor(home: Path) -> FastAPI:
    """Nothing but one durable row for each request."""
    app, lock = FastAPI(), Lock()
    database = sqlite3.connect(home / "floor.db", check_same_thread=False, isolation_level=None)
    database.execute("PRAGMA journal_mode=WAL").close()
    database.execute("PRAGMA synchronous=FULL").close()
    database.execute("CREATE TABLE rows (id INTEGER PRIMARY KEY, body BLOB)").close()

    def keep(body: bytes) -> None:
        with lock:
            database.execute("BEGIN IMMEDIATE")
            database.execute("INSERT INTO rows (body) VALUES (?)", (body,))
            database.execute("COMMIT")

    @app.post("/v1/redemptions", status_code=202)
    async def accept(request: Request) -> dict[str, bool]:
        await run_in_threadpool(keep, await request.body())
        return {"kept": True}

    return app


def prepare(home: Path, count: int) -> tuple[str, list[str]]:
    """A home with a sender, a site with places, and vouchers; gives the secret and the codes."""
    with App.open(home, make=True) as app, app.ctx.store.write() as tx:
        now = datetime.now(UTC)
        sender, secret = senders.add(tx, "platform", "codes", None, now)
        sites.put_offer(tx, OFFER)
        sites.put(tx, SiteRow("mem", "memory", "hub"))
        sites.put_places(tx, "mem", [Places("mem", OFFER.name, count)])
        codes = vouchers.issue(tx, sender.id, OFFER.name, count, now - timedelta(days=1), now + timedelta(days=1))
    return secret, codes


def requests(secret: str, codes: list[str]) -> list[bytes]:
    """Each redemption as the bytes that go over the wire."""
    found = []
    for number, code in enumerate(codes):
        body = redemption(code)
        headers = signed(secret, body, f"bench-{number}", datetime.now(UTC), "platform") | {
            "host": "tenure", "content-length": str(len(body))}
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        found.append(f"POST /v1/redemptions HTTP/1.1\r\n{head}\r\n".encode() + body)
    return found


@contextmanager
def running(kind: str, home: Path) -> Iterator[tuple[int, int]]:
    """A server process on loopback; gives its port and process id."""
    with socket.create_server(("127.0.0.1", 0), backlog=2048) as listening:
        child = subprocess.Popen([sys.executable, "-m", "tests.bench.accept", "--serve", kind, str(home),
                                  str(listening.fileno())], pass_fds=[listening.fileno()])
        try:
            yield listening.getsockname()[1], child.pid
        finally:
            child.terminate()
            child.wait(30)


class Wires:
    """Connections that are kept; one more is opened when all are busy."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def ask(self, raw: bytes) -> int:
        """The status of the answer."""
        while self._idle and self._idle[-1][0].at_eof():
            self._idle.pop()[1].close()
        wire = self._idle.pop() if self._idle else await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = wire
        writer.write(raw)
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 60)
        length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        await asyncio.wait_for(reader.readexactly(length), 60)
        self._idle.append(wire)
        return int(head.split(b" ", 2)[1])

    def close(self) -> None:
        for _, writer in self._idle:
            writer.close()


def cpu_of(process: int) -> float:
    """Milliseconds of CPU that a process has used."""
    used = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(used[11]) + int(used[12])) * 1000 / os.sysconf("SC_CLK_TCK")


async def load(port: int, process: int, work: list[bytes], rate: float) -> tuple[list[tuple[int, float]], float]:
    """Status and milliseconds of each, and the server's CPU milliseconds for all."""
    wires = Wires(port)
    await wires.ask(b"GET /openapi.json HTTP/1.1\r\nhost: tenure\r\n\r\n")
    used = cpu_of(process)
    begin = time.perf_counter() + 0.1

    async def one(number: int, raw: bytes) -> tuple[int, float]:
        due = begin + number / rate
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        status = await wires.ask(raw)
        return status, (time.perf_counter() - due) * 1000

    found = await asyncio.gather(*(one(number, raw) for number, raw in enumerate(work)))
    used = cpu_of(process) - used
    wires.close()
    return list(found), used


def measure(name: str, kind: str, home: Path, work: list[bytes], rate: float) -> Seen:
    """One server, one load."""
    with running(kind, home) as (port, process):
        found, used = asyncio.run(load(port, process, work, rate))
    times = sorted(took for _, took in found)

    def at(share: float) -> float:
        return times[min(len(times) - 1, int(len(times) * share))]

    return Seen(name, len(found), sum(status == 202 for status, _ in found), at(.5), at(.9), at(.99), times[-1],
                used / len(found))


def run(rate: float = 100, seconds: float = 20) -> list[Seen]:
    """Tenure, then the floor."""
    count = int(rate * seconds)
    with tempfile.TemporaryDirectory(prefix="tenure-bench-", dir=os.environ.get("TENURE_BENCH_DIR")) as folder:
        home = Path(folder)
        work = requests(*prepare(home, count))
        return [measure(f"redemption at {rate:g}/s", "tenure", home, work, rate),
                measure(f"floor at {rate:g}/s", "floor", home, work, rate)]


def main() -> None:
    """Measure and print, or be the server."""
    wanted = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    wanted.add_argument("--rate", type=float, default=100)
    wanted.add_argument("--seconds", type=float, default=20)
    wanted.add_argument("--json", action="store_true")
    wanted.add_argument("--serve", nargs=3, metavar=("KIND", "HOME", "FD"), help=argparse.SUPPRESS)
    given = wanted.parse_args()
    if given.serve:
        serve(given.serve[0], Path(given.serve[1]), int(given.serve[2]))
        return
    seen: list[Seen] = run(given.rate, given.seconds)
    plain: list[dict[str, Any]] = [{name: getattr(one, name) for name in Seen.__dataclass_fields__} for one in seen]
    print(json.dumps(plain) if given.json else "\n".join(one.line() for one in seen))


if __name__ == "__main__":
    main()
