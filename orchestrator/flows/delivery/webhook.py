"""A callback: one message to a sender, signed as Standard Webhooks and posted."""

import json
from typing import Any

import httpcore
from standardwebhooks import Webhook

from orchestrator.flows.context import Context
from orchestrator.flows.delivery.egress import post
from orchestrator.flows.delivery.outcome import Outcome
from orchestrator.flows.effects import effect
from orchestrator.flows.messages.callbacks import text
from orchestrator.flows.money.contract import signing_url
from orchestrator.flows.vouchers.claim import claim_url
from orchestrator.store import senders
from orchestrator.store.errors import NotFound
from orchestrator.store.outbox import Message


def send(ctx: Context, message: Message) -> Outcome:
    """Post it. A sender without an address, or one that is gone, is told nothing, and that is all there is to do."""
    try:
        with ctx.store.read() as tx:
            sender = senders.get(tx, message.sender)
            secrets = senders.secrets(tx, message.sender, ctx.clock())
    except NotFound:
        return Outcome()
    if sender is None or sender.callback_url is None:
        return Outcome()
    error = _post(ctx, sender.callback_url, secrets[0], message)
    return Outcome(error, away=error is not None)


def _post(ctx: Context, url: str, secret: str, message: Message) -> str | None:
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
    document = {"type": message.type, "timestamp": text(message.at), "data": dict(message.data) | _links(ctx, message)}
    return json.dumps(document, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


def _links(ctx: Context, message: Message) -> dict[str, Any]:
    """Made here and never stored: the outbox lies in the clear, and whoever has such a link can claim, or sign."""
    match message.type:
        case "account.redeemed" | "account.usable":
            return {"claim_url": claim_url(ctx, message.account)}
        case "contract.drafted":
            return {"signing_url": signing_url(ctx, message.data["contract"])}
        case "account.reclaimed":
            return {"certificate_url": f"{ctx.settings.base_url}/v1/accounts/{message.account}/certificate"}
        case _:
            return {}
