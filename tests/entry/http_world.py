"""The doors of a whole Tenure on loopback: SQLite, sites in memory, a clock that tests move, a real server."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from fastapi import APIRouter
from standardwebhooks import Webhook

from orchestrator.entry.http.app import create_app
from orchestrator.entry.http.desk import Desk, Limits, desk
from orchestrator.flows.context import Context, SitePool
from orchestrator.lifecycle.offer import Offer
from orchestrator.settings import Settings
from orchestrator.store import senders, sites, tokens, vouchers
from orchestrator.store.engine import Store
from orchestrator.store.journal import Entry
from orchestrator.store.journal import list_ as journal_rows
from orchestrator.store.seal import Keyring
from orchestrator.store.sites import Places, SiteRow
from providers.memory.site import connect
from tests.entry.parts_only import PartsOnly

BASE = "https://tenure.example"
OFFER = Offer(name="trial", containers=1, cpu_milli=500, memory=2**28, pids=100, storage=2**26, rate=20_000_000,
              egress=2**24, duration=timedelta(hours=24), images=("docker.io/library/alpine:3",))


class Clock:
    """Real time, moved by as much as a test wants."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.ahead


@dataclass(repr=False)
class World:
    """One Tenure, its server's address, and what its users know."""

    ctx: Context
    clock: Clock
    url: str
    platform: str
    secret: str
    other: str
    other_secret: str
    trusted_secret: str
    tokens: dict[str, str]
    client: httpx.Client

    def codes(self, count: int = 1, sender: str | None = None) -> list[str]:
        """Fresh voucher codes."""
        now = self.clock()
        with self.ctx.store.write() as tx:
            return vouchers.issue(tx, sender or self.platform, "trial", count, now - timedelta(days=1),
                                  now + timedelta(days=30))

    def redeem(self, voucher: str, event: str, *, secret: str | None = None, sender: str | None = "platform",
               **data: Any) -> httpx.Response:
        """One signed redemption."""
        return self.post("/v1/redemptions", redemption(voucher, **data), event, secret=secret, sender=sender)

    def post(self, path: str, body: bytes, event: str, *, secret: str | None = None, sender: str | None = "platform",
             at: datetime | None = None) -> httpx.Response:
        """Anything, signed."""
        return self.client.post(path, content=body, headers=signed(secret or self.secret, body, event,
                                                                   at or self.clock(), sender))

    def get(self, path: str, role: str = "viewer", **query: Any) -> httpx.Response:
        """A read with a token of this role."""
        return self.client.get(path, params=query, headers={"authorization": f"Bearer {self.tokens[role]}"})

    def act(self, path: str, body: dict[str, Any], role: str = "operator") -> httpx.Response:
        """An operator's action."""
        return self.client.post(path, json=body, headers={"authorization": f"Bearer {self.tokens[role]}"})

    def accounts(self) -> list[dict[str, Any]]:
        """All accounts, as a viewer sees them."""
        found: list[dict[str, Any]] = self.get("/v1/accounts", limit=200).json()["accounts"]
        return found

    def refusals(self) -> list[Entry]:
        """What the journal says was refused."""
        with self.ctx.store.read() as tx:
            return [row for row in journal_rows(tx, limit=1000) if row.action == "door.refused"]


def redemption(voucher: object, **data: Any) -> bytes:
    """The body of a redemption; keywords replace or add fields of `data`."""
    holder = {"id": "u-1", "name": "南京某某（江苏）科技有限公司", "kind": "firm", "email": "lab@example.com"}
    body = {"type": "voucher.redeemed", "timestamp": "2026-01-31T08:00:00Z",
            "data": {"voucher": voucher, "holder": holder} | data}
    return json.dumps(body, ensure_ascii=False).encode()


def signed(secret: str, body: bytes, event: str, at: datetime, sender: str | None = None) -> dict[str, str]:
    """The headers that the official library makes."""
    signature = Webhook(secret).sign(event, at, body.decode("utf-8", "replace"))
    headers = {"webhook-id": event, "webhook-timestamp": str(int(at.timestamp())), "webhook-signature": signature,
               "content-type": "application/json"}
    return headers | ({"x-tenure-sender": sender} if sender else {})


def public_key() -> str:
    """A fresh holder's key."""
    key = Ed25519PrivateKey.generate().public_key()
    return key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode() + " holder@laptop"


def context(home: Path, clock: Clock, places: int = 200, url: str | None = None, **chosen: Any) -> Context:
    """A context over a fresh database with one memory site."""
    home.mkdir(parents=True, exist_ok=True)
    keyring = Keyring.new()
    settings = Settings(base_url=BASE, **chosen)
    store = Store(url or settings.database_url(home), keyring)
    store.migrate()
    with store.write() as tx:
        sites.put_offer(tx, OFFER)
        sites.put(tx, SiteRow("mem", "memory", "hub"))
        sites.put_places(tx, "mem", [Places("mem", "trial", places)])
    pool = SitePool(lambda name: connect(f"{home.name}-{name}", {}, {}))
    return Context(store=store, keyring=keyring, sites=pool, stacks=PartsOnly(), clock=clock, worker="doors",
                   settings=settings, home=home)


@contextmanager
def served(ctx: Context, limits: Limits | None = None, room: Callable[[Desk], APIRouter] | None = None
           ) -> Iterator[str]:
    """The app behind a real server, with a room more where a test brings one; gives its address."""
    app = create_app(ctx, limits)
    if room is not None:
        app.include_router(room(desk(ctx, limits or Limits())))
    config = uvicorn.Config(app, host="127.0.0.1", port=0, log_level="info", lifespan="off",
                            timeout_graceful_shutdown=2)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    give_up = time.monotonic() + 20
    while not server.started:
        assert thread.is_alive(), "the server ended"
        assert time.monotonic() < give_up, "the server did not start"
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(10)


@contextmanager
def world(home: Path, limits: Limits | None = None, places: int = 200, url: str | None = None,
          room: Callable[[Desk], APIRouter] | None = None, **chosen: Any) -> Iterator[World]:
    """A whole Tenure with two platforms, one trusted platform, and a token of each role; `chosen` are settings."""
    clock = Clock()
    ctx = context(home, clock, places, url, **chosen)
    now = clock()
    with ctx.store.write() as tx:
        platform, secret = senders.add(tx, "platform", "codes", None, now)
        other, other_secret = senders.add(tx, "other", "codes", None, now)
        _, trusted_secret = senders.add(tx, "trusted", "payload", None, now)
        made = {role: tokens.make(tx, role, role, now) for role in ("viewer", "operator", "admin")}
        made["sender"] = tokens.make(tx, "sender", "platform", now, sender=platform.id)
        made["other"] = tokens.make(tx, "sender", "other", now, sender=other.id)
    with served(ctx, limits, room) as address, httpx.Client(base_url=address, timeout=60) as client:
        yield World(ctx, clock, address, platform.id, secret, other.id, other_secret, trusted_secret, made, client)
    ctx.sites.close()
    ctx.store.close()
