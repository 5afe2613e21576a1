"""Every door that takes a POST stands here, with its row in the journal; the others change nothing."""

import hashlib
import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import httpx
import pytest

from orchestrator.entry.http.app import create_app
from orchestrator.flows.money import contract as papers
from orchestrator.flows.trouble import Trouble, mark
from orchestrator.store import accounts, journal, price_lists
from tests.entry.http_site import usable
from tests.entry.http_world import World, public_key, world
from tests.flows.scheme import example

WHY = "asked for by the audit"
DOCUMENT = hashlib.sha256(b"the signed paper").hexdigest()
READS = {"GET", "HEAD"}


@dataclass(frozen=True)
class Did:
    """What was answered, and whose row of which action is looked for, with which reason."""

    answer: httpx.Response
    action: str
    actor: str
    why: str = ""


Act = Callable[[World, str], Did]


def acting(act: str, action: str, **body: Any) -> Act:
    """An operator's action on a fresh account, by token."""
    def do(tenure: World, event: str) -> Did:
        account, _ = usable(tenure, event)
        if act == "unfence":
            assert tenure.act(f"/v1/accounts/{account}/fence", {}).status_code == 200
        return Did(tenure.act(f"/v1/accounts/{account}/{act}", body | {"why": WHY}), action,
                   f"token:{tenure.tokens['operator'].split('_')[1]}", WHY)

    return do


def retried(tenure: World, event: str) -> Did:
    """The same on an account that waits for its next try."""
    account = tenure.redeem(tenure.codes()[0], event).json()["account"]
    with tenure.ctx.store.write() as tx:
        claimed = accounts.claim_one(tx, account, tenure.clock(), "test", timedelta(minutes=1))
        mark(tx, claimed, Trouble("provision", "does not answer", "tenure"), tenure.clock())
    return Did(tenure.act(f"/v1/accounts/{account}/retry", {"why": WHY}), "account.retry_asked",
               f"token:{tenure.tokens['operator'].split('_')[1]}", WHY)


def booked(act: str, action: str) -> Act:
    """The same on an account that is yet to begin."""
    def do(tenure: World, event: str) -> Did:
        first, later = ((tenure.clock() + timedelta(days=days)).isoformat(timespec="seconds") for days in (2, 3))
        account = tenure.redeem(tenure.codes()[0], event, begins_at=first).json()["account"]
        body = {"begins_at": later} if act == "move" else {}
        return Did(tenure.act(f"/v1/accounts/{account}/{act}", body | {"why": WHY}), action,
                   f"token:{tenure.tokens['operator'].split('_')[1]}", WHY)

    return do


def redeemed(tenure: World, event: str) -> Did:
    """By a platform."""
    return Did(tenure.redeem(tenure.codes()[0], event), "account.requested", f"sender:{tenure.platform}")


def contracted(tenure: World, event: str) -> Did:
    """By a platform."""
    account, _ = usable(tenure, event)
    data = {"account": account, "contract": f"c-{event}", "offer": "trial", "ends_at": "open", "document": DOCUMENT}
    body = {"type": "contract.signed", "timestamp": "2026-01-31T08:00:00Z", "data": data}
    return Did(tenure.post("/v1/contracts", json.dumps(body).encode(), f"{event}-c"), "contract.asked",
               f"sender:{tenure.platform}")


def claimed(tenure: World, event: str) -> Did:
    """By the holder."""
    _, url = usable(tenure, event)
    return Did(httpx.post(url, json={"ssh_public_key": public_key()}), "account.claimed", "holder")


def wished(tenure: World, event: str) -> Did:
    """By the holder."""
    _, url = usable(tenure, event)
    return Did(httpx.post(f"{url}/contract", json={"days": 90}), "contract.wished", "holder")


def signed(tenure: World, event: str) -> Did:
    """By the holder."""
    account, _ = usable(tenure, event)
    paper = papers.draft(tenure.ctx, account, "A", tenure.clock() + timedelta(days=90), actor="test")
    url = papers.signing_url(tenure.ctx, paper.id).replace("https://tenure.example", tenure.url)
    return Did(httpx.post(url, json={"document": paper.digest, "agreed": "yes"}), "contract.signed", "holder")


def signed_in(tenure: World, event: str) -> Did:
    """By an operator's browser."""
    return Did(tenure.client.post("/sign-in", data={"token": tenure.tokens["operator"]}), "session.opened",
               f"token:{tenure.tokens['operator'].split('_')[1]}")


def signed_out(tenure: World, event: str) -> Did:
    """By the same."""
    cookie = {"cookie": signed_in(tenure, event).answer.headers["set-cookie"].split(";")[0]}
    key = tenure.ctx.keyring.mac("form", cookie["cookie"].split("=", 1)[1]).hex()
    return Did(tenure.client.post("/sign-out", data={"form_key": key}, headers=cookie), "session.closed",
               f"token:{tenure.tokens['operator'].split('_')[1]}")


CHANGES: dict[str, Act] = {
    "/v1/redemptions": redeemed,
    "/v1/contracts": contracted,
    "/v1/accounts/{account}/extend": acting("extend", "account.extended", ends_at="2035-01-01T00:00:00Z"),
    "/v1/accounts/{account}/fence": acting("fence", "account.fenced"),
    "/v1/accounts/{account}/unfence": acting("unfence", "account.unfenced"),
    "/v1/accounts/{account}/reclaim": acting("reclaim", "account.reclaim_asked"),
    "/v1/accounts/{account}/notify": acting("notify", "account.noticed", text_zh="今晚维护", text_en="maintenance"),
    "/v1/accounts/{account}/retry": retried,
    "/v1/accounts/{account}/cancel": booked("cancel", "booking.cancelled"),
    "/v1/accounts/{account}/move": booked("move", "booking.moved"),
    "/v1/accounts/{account}/convert": acting("convert", "contract.asked", contract="c-1", offer="trial",
                                             ends_at="open", document=DOCUMENT),
    "/claim/{token}": claimed,
    "/claim/{token}/contract": wished,
    "/contract/{token}": signed,
    "/sign-in": signed_in,
    "/sign-out": signed_out,
}


@pytest.fixture(scope="module")
def tenure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One Tenure with a price list."""
    with world(tmp_path_factory.mktemp("who") / "home") as made:
        with made.ctx.store.write() as tx:
            price_lists.put(tx, example("nanjing-prices.yaml").prices[0])
        yield made


def doors(routes: Iterable[Any]) -> Iterator[tuple[str, str]]:
    """Every method and path, whatever router it is in."""
    for route in routes:
        inner = getattr(route, "original_router", None)
        if inner is not None:
            yield from doors(inner.routes)
        else:
            yield from ((method, route.path) for method in route.methods)


def test_every_door_that_changes_something_stands_here(tenure: World) -> None:
    """A new one has to say which row of the journal is its own."""
    found = set(doors(create_app(tenure.ctx).routes))
    assert len(found) > 25
    assert sorted(path for method, path in found if method not in READS) == sorted(CHANGES)


@pytest.mark.parametrize("path", sorted(CHANGES))
def test_what_changes_something_is_journalled(tenure: World, path: str) -> None:
    """With who did it, and why where a reason can be given."""
    did = CHANGES[path](tenure, f"who-{sorted(CHANGES).index(path)}")
    assert did.answer.status_code < 400, did.answer.text
    with tenure.ctx.store.read() as tx:
        row = next(one for one in journal.list_(tx, limit=20) if one.action == did.action)
    assert (row.actor, row.why) == (did.actor, did.why)


def test_what_only_reads_changes_nothing(tenure: World) -> None:
    """Not a byte of the database, at whatever address; a mail scanner may fetch them all."""
    account, url = usable(tenure, "who-reads")
    assert httpx.post(url, json={"ssh_public_key": public_key()}).status_code == 200
    paper = papers.draft(tenure.ctx, account, "A", tenure.clock() + timedelta(days=90), actor="test")
    tokens = {"claim": url.rsplit("/", 1)[1], "contract": papers.token(tenure.ctx.keyring, paper.id)}
    before = dumped(tenure)
    for method, path in sorted(set(doors(create_app(tenure.ctx).routes))):
        if method in READS:
            there = path.replace("{account}", account).replace("{token}", tokens.get(path.split("/")[1], ""))
            answer = tenure.client.request(method, there, headers={
                "authorization": f"Bearer {tenure.tokens['operator']}", "accept": "text/html"})
            assert answer.status_code in (200, 404), (method, path, answer.text)
            assert dumped(tenure) == before, (method, path)


def dumped(tenure: World) -> list[str]:
    """The whole database."""
    db = sqlite3.connect(tenure.ctx.home / "tenure.db")
    try:
        return list(db.iterdump())
    finally:
        db.close()
