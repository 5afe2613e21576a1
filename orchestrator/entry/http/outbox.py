"""What was told and what is yet to be: callbacks and mail, as `tenure outbox list` shows them. Nothing is sent here."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from orchestrator.entry.http.auth import READERS, Caller, caller, whose
from orchestrator.entry.http.desk import Desk
from orchestrator.entry.http.documents import refusals
from orchestrator.entry.http.names import ACCOUNT, PLAIN
from orchestrator.store import outbox
from orchestrator.store.outbox import Channel, Filter, Message


class WantedMessages(BaseModel):
    """Which messages a list shows."""

    model_config = ConfigDict(extra="forbid")

    account: Annotated[str | None, Query(pattern=ACCOUNT)] = None
    sender: Annotated[str | None, Query(pattern=PLAIN, description="a sender's id or name")] = None
    channel: Channel | None = None
    type: Annotated[str | None, Query(pattern=r"^[a-z_.]{1,64}$")] = None
    unsent: bool = False
    given_up: bool = False
    limit: Annotated[int, Query(ge=1, le=200)] = 50


class MessageOut(BaseModel):
    """One message. Nobody's name or address is in it."""

    id: str = Field(description="the callback's webhook-id; of a mail, what its Message-ID begins with")
    channel: Channel
    type: str
    account: str
    sender: str
    state: str = Field(description="sent, waiting, given up")
    at: datetime = Field(description="when it happened, or is to be told")
    due_at: datetime | None
    sent_at: datetime | None
    attempts: int
    error: str | None = Field(description="of a mail, operators alone are told")


class Messages(BaseModel):
    """Messages, the newest first."""

    messages: list[MessageOut]


def routes(desk: Desk) -> APIRouter:
    """The list."""
    router = APIRouter(prefix="/v1", tags=["outbox"])
    asking = Depends(caller(desk, READERS))

    @router.get("/outbox", response_model=Messages, operation_id="listMessages", summary="Callbacks and mail",
                responses=refusals(400, 401, 403, 429, 503))
    async def listed(wanted: Annotated[WantedMessages, Query()], by: Annotated[Caller, asking]) -> Response:
        found = await desk.lanes.read(_find, desk, wanted, by.sender)
        told = Messages(messages=[_out(one, to_sender=by.sender is not None) for one in found])
        return JSONResponse(told.model_dump(mode="json"))

    return router


def _find(desk: Desk, wanted: WantedMessages, own: str | None) -> list[Message]:
    with desk.ctx.store.read() as tx:
        which = Filter(sender=whose(tx, own, wanted.sender), account=wanted.account, channel=wanted.channel,
                       type=wanted.type, unsent=wanted.unsent, given_up=wanted.given_up)
        return outbox.find(tx, which, wanted.limit)


def _out(message: Message, *, to_sender: bool) -> MessageOut:
    plain = {name: getattr(message, name) for name in MessageOut.model_fields}
    if to_sender and message.channel == outbox.MAIL:
        plain["error"] = None
    return MessageOut(**plain)
