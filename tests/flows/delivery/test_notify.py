"""Callbacks: signed as Standard Webhooks, the same bytes at every try, tried for days, never into our own network."""

import ipaddress
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpcore
import pytest
from standardwebhooks import Webhook

from orchestrator.flows.delivery.egress import Blocked, allowed, post
from orchestrator.flows.delivery.notify import Notifier
from orchestrator.settings import Callbacks
from orchestrator.store import outbox, senders
from tests.dripping import dripping
from tests.flows.town import Town

LOOPBACK = ipaddress.ip_network("127.0.0.0/8")


class Platform:
    """A sender's own server: keeps what it was sent, answers as told."""

    def __init__(self) -> None:
        self.heard: list[tuple[dict[str, str], bytes]] = []
        self.answer, self.location = 204, ""
        self.before: Callable[[dict[str, str]], None] = lambda headers: None
        self.gate = threading.Event()
        self.gate.set()
        platform = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                platform.heard.append((dict(self.headers.items()), body))
                platform.before(dict(self.headers.items()))
                platform.gate.wait(30)
                self.send_response(platform.answer)
                if platform.location:
                    self.send_header("location", platform.location)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/tenure"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def platform(town: Town) -> Iterator[Platform]:
    """The town's sender has a server on loopback, and the operator allows it. The clock is the machine's."""
    made = Platform()
    town.clock.at = datetime.now(UTC)
    for site in town.sites.values():
        with site.keeper.held() as world:
            world.at = town.clock.at.timestamp()
    settings = town.ctx.settings.model_copy(update={"callbacks": Callbacks(allow=(LOOPBACK,))})
    town.ctx = replace(town.ctx, settings=settings)
    with town.store.write() as tx:
        senders.set_callback(tx, town.sender.id, made.url)
    yield made
    made.close()


def _deliver(town: Town) -> None:
    town.clock.at = max(town.clock.at, datetime.now(UTC))
    notifier = Notifier(town.ctx)
    notifier.tick(town.clock.at)
    assert notifier.idle(30)


def _usable(town: Town) -> str:
    """An account that has become usable, which is yet to be told; that it was redeemed was told before."""
    id = town.active()
    with town.store.write() as tx:
        for message in outbox.find(tx, outbox.Filter(account=id)):
            if message.type == "account.redeemed":
                outbox.sent(tx, message.id, town.clock.at)
    return id


def test_a_callback_verifies_with_the_senders_secret(town: Town, platform: Platform) -> None:
    """The stock library takes it, and it says what became usable and where to claim."""
    id = _usable(town)
    _deliver(town)
    [(headers, body)] = platform.heard
    said = Webhook(town.secret).verify(body, headers)
    assert (said["type"], said["data"]["account"]) == ("account.usable", id)
    assert said["data"]["claim_url"].startswith("https://tenure.example/claim/")


def test_it_is_sent_once(town: Town, platform: Platform) -> None:
    """A second round sends nothing."""
    _usable(town)
    _deliver(town)
    _deliver(town)
    assert len(platform.heard) == 1


def test_a_refused_callback_comes_again_with_the_same_id_and_bytes(town: Town, platform: Platform) -> None:
    """500 is no answer; a later try is."""
    _usable(town)
    platform.answer = 500
    _deliver(town)
    platform.answer = 200
    town.clock.at += timedelta(hours=1)
    _deliver(town)
    (first, body), (second, again) = platform.heard
    assert (first["webhook-id"], body) == (second["webhook-id"], again)


def test_a_platform_that_is_away_for_days_hears_of_it_when_it_is_back(town: Town, platform: Platform) -> None:
    """Four days of 500, tried at least every six hours; then once, with the id and the bytes of the first time."""
    _usable(town)
    platform.answer = 500
    for _ in range(96):
        _deliver(town)
        town.clock.at += timedelta(hours=1)
    tried = len(platform.heard)
    assert 4 * 24 / 6 <= tried < 96
    platform.answer = 200
    town.clock.at += timedelta(hours=6)
    for _ in range(2):
        _deliver(town)
    assert len(platform.heard) == tried + 1
    assert {(headers["webhook-id"], body) for headers, body in platform.heard} == {
        (platform.heard[0][0]["webhook-id"], platform.heard[0][1])}


def test_after_days_it_is_given_up(town: Town, platform: Platform) -> None:
    """Not tried again, and the reason is kept."""
    _usable(town)
    platform.answer = 500
    town.clock.at += town.ctx.settings.callbacks.give_up_after + timedelta(hours=1)
    _deliver(town)
    with town.store.read() as tx:
        message = outbox.find(tx, outbox.Filter())[0]
    assert (message.due_at, message.error, message.sent_at) == (None, "the answer was 500", None)


def test_a_redirect_is_not_followed(town: Town, platform: Platform) -> None:
    """It counts as no answer."""
    _usable(town)
    platform.answer, platform.location = 302, platform.url + "/elsewhere"
    _deliver(town)
    assert len(platform.heard) == 1
    with town.store.read() as tx:
        assert outbox.find(tx, outbox.Filter())[0].sent_at is None


def test_without_leave_loopback_is_blocked(town: Town, platform: Platform) -> None:
    """The default: nothing arrives, and the message says why."""
    town.ctx = replace(town.ctx, settings=town.ctx.settings.model_copy(update={"callbacks": Callbacks()}))
    _usable(town)
    _deliver(town)
    with town.store.read() as tx:
        message = outbox.find(tx, outbox.Filter())[0]
    assert platform.heard == []
    assert "may not go to 127.0.0.1" in (message.error or "")


def test_a_sender_without_a_callback_is_told_nothing(town: Town, platform: Platform) -> None:
    """The outbox does not fill up."""
    with town.store.write() as tx:
        senders.set_callback(tx, town.sender.id, None)
    _usable(town)
    _deliver(town)
    with town.store.read() as tx:
        assert outbox.find(tx, outbox.Filter(unsent=True)) == []


def test_no_name_or_mail_address_is_in_a_callback(town: Town, platform: Platform) -> None:
    """Ids and instants only."""
    _usable(town)
    _deliver(town)
    text = json.dumps(json.loads(platform.heard[0][1]), ensure_ascii=False)
    assert "某某" not in text
    assert "@" not in text


@pytest.mark.parametrize("address", [
    "127.0.0.1", "10.0.0.1", "192.168.1.1", "172.16.0.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1",
    "255.255.255.255", "::1", "fe80::1", "fc00::1", "::ffff:127.0.0.1", "::ffff:169.254.169.254", "64:ff9b::7f00:1",
    "2002:7f00:1::", "ff02::1", "::"])
def test_addresses_of_our_own_networks_are_blocked(address: str) -> None:
    """In every way of writing them."""
    assert not allowed(ipaddress.ip_address(address), ())


@pytest.mark.parametrize("address", ["1.1.1.1", "203.107.1.1", "2606:4700::1111"])
def test_public_addresses_are_allowed(address: str) -> None:
    """Nothing else is needed for them."""
    assert allowed(ipaddress.ip_address(address), ())


@pytest.mark.parametrize("host", ["127.0.0.1", "2130706433", "0x7f000001", "017700000001", "localhost", "127.1",
                                  "[::1]", "[::ffff:127.0.0.1]"])
def test_every_way_of_writing_loopback_is_blocked_when_connecting(host: str) -> None:
    """Decimal, hexadecimal, octal, short, by name."""
    with pytest.raises(Blocked):
        post(f"http://{host}:9/x", {}, b"{}", (), 2.0)


def test_what_is_no_web_address_is_refused() -> None:
    """Files and sockets least of all."""
    with pytest.raises(ValueError, match="not an http"):
        post("file:///etc/passwd", {}, b"", (), 2.0)


def test_a_platform_that_answers_a_little_at_a_time_is_left() -> None:
    """Each byte comes in time, the answer never does: it holds up no other callback for long."""
    with (dripping(b"HTTP/1.1 200 OK\r\nx: " + b"y" * 10_000) as port,
          pytest.raises((httpcore.NetworkError, httpcore.ProtocolError))):
        post(f"http://127.0.0.1:{port}/x", {}, b"{}", (LOOPBACK,), 0.5)


def test_a_sender_that_is_away_costs_one_round_and_its_messages_wait(town: Town, platform: Platform) -> None:
    """Of a hundred messages the first twenty are tried, the others are put off untried."""
    platform.answer = 503
    platform.gate.clear()
    for _ in range(100):
        with town.store.write() as tx:
            outbox.put(tx, town.sender.id, "account.usable", "aaaaaaaaaa", {})
    town.clock.at = datetime.now(UTC)
    notifier = Notifier(town.ctx)
    for _ in range(5):
        notifier.tick(town.clock.at)
    platform.gate.set()
    assert notifier.idle(60)
    with town.store.read() as tx:
        waiting = outbox.find(tx, outbox.Filter(unsent=True), 1000)
    assert len(waiting) == 100
    assert len(platform.heard) == 20
    assert all(message.due_at is not None and message.due_at > town.clock.at for message in waiting)


def test_what_waits_too_long_behind_a_slow_sender_is_given_back_and_sent_once(town: Town, platform: Platform) -> None:
    """Each answer takes five seconds: whatever is sent is still claimed then, and what was not tried counts no try."""
    for _ in range(60):
        with town.store.write() as tx:
            outbox.put(tx, town.sender.id, "account.usable", "aaaaaaaaaa", {}, town.clock.at)
    late: list[str] = []
    notifier = Notifier(town.ctx)

    def dawdle(headers: dict[str, str]) -> None:
        with town.store.read() as tx:
            message = outbox.get(tx, headers["webhook-id"])
        assert message is not None
        if message.due_at is None or message.due_at <= town.clock.at:
            late.append(message.id)
        town.clock.at += timedelta(seconds=5)

    platform.before = dawdle
    for _ in range(200):
        notifier.tick(town.clock.at)
        assert notifier.idle(60)
        town.clock.at += timedelta(seconds=5)
    with town.store.read() as tx:
        found = outbox.find(tx, outbox.Filter(), 1000)
    ids = [headers["webhook-id"] for headers, _ in platform.heard]
    assert late == []
    assert len(ids) == len(set(ids)) == 60
    assert {message.attempts for message in found} == {1}
