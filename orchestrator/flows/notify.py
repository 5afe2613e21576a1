"""Callbacks to senders: the outbox, signed as Standard Webhooks, tried with growing pauses for days."""

import json
import logging
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import httpcore
from standardwebhooks import Webhook

from orchestrator.flows.callbacks import text
from orchestrator.flows.claim import claim_url
from orchestrator.flows.context import Context
from orchestrator.flows.effects import commit, effect
from orchestrator.flows.egress import post
from orchestrator.flows.lanes import Lanes
from orchestrator.store import outbox, senders
from orchestrator.store.engine import Tx
from orchestrator.store.errors import Conflict, NotFound, StoreError
from orchestrator.store.outbox import Message

log = logging.getLogger(__name__)

LEASE = timedelta(seconds=60)
PER_SENDER = 20
AT_ONCE = 100
MOST_WAITING = 4 * PER_SENDER
"""Of one sender, in this process. More would only outlive their claims, and be sent twice."""
SHORTEST_PAUSE, LONGEST_PAUSE = timedelta(seconds=5), timedelta(hours=6)


class Notifier:
    """Delivers what is in the outbox; a sender that does not answer holds up only itself."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._lanes: Lanes[str, Message] = Lanes(self._deliver, self._wait, most=PER_SENDER)

    def run(self, stop: threading.Event, poll: timedelta = timedelta(milliseconds=200)) -> None:
        """Until told to stop."""
        while not stop.is_set():
            try:
                self.tick(self._ctx.clock())
            except StoreError as error:
                log.warning("callbacks wait, the database does not answer: %s", error)
            stop.wait(poll.total_seconds())

    def tick(self, now: datetime) -> int:
        """Hand out what is due; answers how many messages that were."""
        with self._ctx.store.read() as tx:
            wake = outbox.next_wake(tx)
        if wake is None or wake > now:
            return 0
        messages = commit("notify.claim", self._ctx.store, lambda tx: outbox.claim_due(
            tx, now, self._ctx.worker, AT_ONCE, LEASE, PER_SENDER))
        grouped: dict[str, list[Message]] = {}
        for message in messages:
            grouped.setdefault(message.sender, []).append(message)
        for sender, some in grouped.items():
            room = max(0, MOST_WAITING - self._lanes.waiting(sender))
            self._lanes.put(sender, some[:room])
            self._wait(sender, some[room:])
        return len(messages)

    def idle(self, timeout: float | None = None) -> bool:
        """Wait until everything that was taken up is answered."""
        return self._lanes.idle(timeout)

    def _deliver(self, sender: str, messages: Sequence[Message]) -> bool:
        """True when none got through: then the sender is away, and what waits for it need not be tried now."""
        with ThreadPoolExecutor(min(4, len(messages)), f"notify-{sender}") as pool:
            return not any(pool.map(lambda message: deliver(self._ctx, message), messages))

    def _wait(self, sender: str, messages: Sequence[Message]) -> None:
        """Give these back untried."""
        if messages:
            until = self._ctx.clock() + SHORTEST_PAUSE
            commit("notify.save", self._ctx.store, lambda tx: _put_off(tx, messages, until))


def _put_off(tx: Tx, messages: Sequence[Message], until: datetime) -> None:
    for message in messages:
        outbox.later(tx, message.id, until, "waits for the sender's earlier ones")


def deliver(ctx: Context, message: Message) -> bool:
    """Try one message; says whether it is done with. Never raises for what a sender's server does."""
    try:
        with ctx.store.read() as tx:
            sender = senders.get(tx, message.sender)
            secrets = senders.secrets(tx, message.sender, ctx.clock())
    except NotFound:
        sender, secrets = None, []
    if sender is None or sender.callback_url is None:
        commit("notify.save", ctx.store, lambda tx: outbox.sent(tx, message.id, ctx.clock()))
        return True
    error = _send(ctx, sender.callback_url, secrets[0], message)
    if error is None:
        commit("notify.save", ctx.store, lambda tx: outbox.sent(tx, message.id, ctx.clock()))
        return True
    _later(ctx, message, error)
    return False


def _send(ctx: Context, url: str, secret: str, message: Message) -> str | None:
    """None when the sender has it, otherwise what was in the way. Nothing secret is in the sentence."""
    now, body = ctx.clock(), body_of(ctx, message)
    headers = {
        "content-type": "application/json", "user-agent": "tenure", "webhook-id": message.id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(secret).sign(message.id, now, body.decode()),
    }
    settings = ctx.settings.callbacks
    try:
        status = effect("notify.send", post, url, headers, body, settings.allow, settings.timeout.total_seconds())
    except (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError, httpcore.UnsupportedProtocol,
            OSError, ValueError) as failed:
        return f"{type(failed).__name__}: {failed}"
    return None if 200 <= status < 300 else f"the answer was {status}"


def body_of(ctx: Context, message: Message) -> bytes:
    """The exact bytes that are signed: the same at every try."""
    data = dict(message.data)
    if message.type == "account.usable":
        # Made here and never stored: the outbox lies in the clear, and whoever has this link can claim.
        data["claim_url"] = claim_url(ctx, message.account)
    document = {"type": message.type, "timestamp": text(message.at), "data": data}
    return json.dumps(document, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


def _later(ctx: Context, message: Message, error: str) -> None:
    now = ctx.clock()
    if now - message.at > ctx.settings.callbacks.give_up_after:
        log.error("callback %s (%s of %s) is given up: %s", message.id, message.type, message.account, error)
        again = None
    else:
        # Half as long again as it has waited so far: pauses grow, however often a claim has lapsed.
        again = now + min(max((now - message.at) / 2, SHORTEST_PAUSE), LONGEST_PAUSE)
    try:
        commit("notify.save", ctx.store, lambda tx: outbox.later(tx, message.id, again, error))
    except Conflict:
        log.debug("callback %s was delivered meanwhile", message.id)
