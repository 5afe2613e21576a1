"""The doors that voucher platforms use: signed redemptions and signed contracts (Standard Webhooks)."""

import hashlib
import time
from datetime import datetime
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, Field

from orchestrator.entry.http.bodies import parse
from orchestrator.entry.http.desk import Desk
from orchestrator.entry.http.documents import accepts, refusals
from orchestrator.entry.http.intake import RawBody
from orchestrator.entry.http.payloads import ContractSigned, VoucherRedeemed
from orchestrator.entry.http.problems import Problem
from orchestrator.entry.http.signatures import Envelope, Unsigned, check_time, open_envelope, signed_by
from orchestrator.entry.http.signing import sign
from orchestrator.flows.vouchers.redeem import Accepted, answered, redeem
from orchestrator.lifecycle.errors import RuleError
from orchestrator.store import accounts, redemptions, senders
from orchestrator.store.engine import Tx
from orchestrator.store.redemptions import Redemption
from orchestrator.store.senders import Sender

MOST_UNNAMED = 64
"""With more senders than this, each says its name: the cost of trying everybody's secret stays bounded."""


class RedemptionAccepted(BaseModel):
    """The answer to a redemption and to every repetition of it, byte for byte."""

    account: str = Field(examples=["a2b3c4d5e6"])
    address: str = Field(description="where the account can be read, with a token")
    claim_url: str | None = Field(description="for the holder; keep it as you would a password until it is claimed. "
                                              "null of a cash voucher, which makes no account")


class ContractAccepted(BaseModel):
    """The contract is written down; what comes of it arrives as a callback."""

    account: str
    contract: str
    address: str


def routes(desk: Desk) -> APIRouter:
    """Both doors."""
    router = APIRouter(tags=["webhooks"])

    @router.post("/v1/redemptions", status_code=202, response_model=RedemptionAccepted, operation_id="redeem",
                 summary="A voucher was redeemed", responses=refusals(400, 401, 404, 409, 413, 422, 429, 503),
                 openapi_extra=accepts(VoucherRedeemed, signed=True))
    async def redemptions_door(request: Request, raw: RawBody) -> Response:
        envelope = await _envelope(desk, request)
        return JSONResponse(await desk.lanes.write(_redeem, desk, envelope, raw), 202)

    @router.post("/v1/contracts", status_code=202, response_model=ContractAccepted, operation_id="signContract",
                 summary="A rental contract was signed", responses=refusals(400, 401, 404, 409, 413, 422, 429, 503),
                 openapi_extra=accepts(ContractSigned, signed=True))
    async def contracts_door(request: Request, raw: RawBody) -> Response:
        envelope = await _envelope(desk, request)
        return JSONResponse(await desk.lanes.write(_contract, desk, envelope, raw), 202)

    return router


async def _envelope(desk: Desk, request: Request) -> Envelope:
    try:
        return open_envelope(request)
    except Unsigned as error:
        await desk.lanes.write(desk.refusals.note, desk.ctx, error.code, "webhook", "unknown")
        raise _unsigned(error) from error


def _unsigned(error: Unsigned) -> Problem:
    return Problem(401, error.code, str(error))


def _verified(desk: Desk, envelope: Envelope, raw: bytes, body_hash: str) -> tuple[Sender, Redemption | None]:
    """Who signed this, and what was accepted of an event that came before: told before the body is looked at, so that a
    repetition is answered the same by every later version of these checks. 401 (journalled), 409, 429."""
    now = desk.ctx.clock()
    try:
        check_time(envelope, now)
        with desk.ctx.store.read() as tx:
            sender = _signer(tx, envelope, raw, now)
            earlier = redemptions.find(tx, sender.id, envelope.event)
    except Unsigned as error:
        desk.refusals.note(desk.ctx, error.code, "webhook", "unknown")
        raise _unsigned(error) from error
    wait = desk.senders.take(sender.id, time.monotonic())
    if wait:
        raise Problem(429, "too_many_requests", f"sender {sender.name} sends too much at once", retry_after=wait)
    if earlier is not None and earlier.body_hash != body_hash:
        raise RuleError("event_reused", f"event {envelope.event!r} came before with another body: a repetition "
                        "is the same bytes, its `timestamp` too")
    return sender, earlier


def _signer(tx: Tx, envelope: Envelope, raw: bytes, now: datetime) -> Sender:
    if envelope.sender is None:
        known = senders.list_(tx)
        if len(known) > MOST_UNNAMED:
            raise Unsigned("sender_unnamed", "name the sender: append ?sender=NAME to the address")
    else:
        named = senders.get(tx, envelope.sender)
        known = [named] if named is not None else []
    found = [one for one in known if signed_by(envelope, raw, senders.secrets(tx, one.id, now))]
    if len(found) != 1:
        raise Unsigned("signature_wrong", "the signature is not right for this body, id, timestamp and sender")
    return found[0]


def _redeem(desk: Desk, envelope: Envelope, raw: bytes) -> dict[str, Any]:
    body_hash = hashlib.sha256(raw).hexdigest()
    sender, known = _verified(desk, envelope, raw, body_hash)
    if known is not None:
        return _redeemed(desk, answered(desk.ctx, known))
    data = parse(VoucherRedeemed, raw).data
    _only_what_is_theirs(sender, data.model_fields_set)
    try:
        return _redeemed(desk, redeem(desk.ctx, sender, data.told(envelope.event, body_hash)))
    except RuleError as refused:
        if refused.code == "not_found" and data.account is not None:
            _own(desk, sender, data.account)
        raise


def _only_what_is_theirs(sender: Sender, given: set[str]) -> None:
    theirs = given & {"hours", "valid_from", "valid_until", "amount"}
    if theirs and sender.trusts != "payload":
        raise Problem(400, "bad_body", f"data.{min(theirs)}: is not this sender's to say: the voucher says it")


def _redeemed(desk: Desk, accepted: Accepted) -> dict[str, Any]:
    return {"account": accepted.account, "address": _address(desk, accepted.account), "claim_url": accepted.claim_url}


def _address(desk: Desk, account: str) -> str:
    return f"{desk.ctx.settings.base_url}/v1/accounts/{account}"


def _contract(desk: Desk, envelope: Envelope, raw: bytes) -> dict[str, Any]:
    body_hash = hashlib.sha256(raw).hexdigest()
    sender, known = _verified(desk, envelope, raw, body_hash)
    data = parse(ContractSigned, raw).data
    answer = {"account": data.account, "contract": data.contract, "address": _address(desk, data.account)}
    if known is not None:
        return answer
    _own(desk, sender, data.account)
    sign(desk, data.account, data, f"sender:{sender.id}", sender=sender.id)
    # After the asking, which is idempotent: a refusal is not remembered, and a crash in between asks once more.
    with desk.ctx.store.write() as tx:
        redemptions.remember(tx, Redemption(id=envelope.event, sender=sender.id, body_hash=body_hash, voucher=None,
                                            account=data.account, at=desk.ctx.clock()))
    return answer


def _own(desk: Desk, sender: Sender, account: str) -> None:
    """404 for what is another sender's, as for what is not there; journalled when it is there."""
    with desk.ctx.store.read() as tx:
        known = accounts.get(tx, account) is not None
        own = known and accounts.record(tx, account).sender == sender.id
    if known and not own:
        desk.refusals.note(desk.ctx, "not_yours", account, f"sender:{sender.id}")
    if not own:
        raise Problem(404, "not_found", f"there is no account {account!r}")
