"""The operators' API: reading accounts. Acting on them is in `acts`, their certificates in `proofs`."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict

from orchestrator.entry.http.auth import READERS, Caller, caller, visible, whose
from orchestrator.entry.http.desk import Desk
from orchestrator.entry.http.documents import refusals
from orchestrator.entry.http.names import ACCOUNT, PLAIN
from orchestrator.entry.http.payloads import Instant
from orchestrator.entry.http.shapes import AccountOut, AccountPage, account_out
from orchestrator.lifecycle.account import State
from orchestrator.store import accounts
from orchestrator.store.accounts import AccountRecord, Filter

AccountPath = Annotated[str, Path(max_length=128, description="the account's id", examples=["a2b3c4d5e6"])]


class Wanted(BaseModel):
    """Which accounts a list shows."""

    model_config = ConfigDict(extra="forbid")

    site: Annotated[str | None, Query(pattern=PLAIN)] = None
    state: State | None = None
    sender: Annotated[str | None, Query(pattern=PLAIN, description="a sender's id or name")] = None
    stuck: bool | None = None
    live: bool | None = None
    ending_before: Instant | None = None
    after: Annotated[str | None, Query(pattern=ACCOUNT, description="`next` of the page before")] = None
    limit: Annotated[int, Query(ge=1, le=200)] = 50


def routes(desk: Desk) -> APIRouter:
    """Lists and single accounts."""
    router = APIRouter(prefix="/v1/accounts", tags=["accounts"])
    asking = Depends(caller(desk, READERS))
    answers = refusals(400, 401, 403, 404, 429, 503)

    @router.get("", response_model=AccountPage, operation_id="listAccounts", summary="Accounts, by id",
                responses=answers)
    async def listed(wanted: Annotated[Wanted, Query()], by: Annotated[Caller, asking]) -> Response:
        found = await desk.lanes.read(_select, desk, wanted, by.sender)
        page = AccountPage(accounts=[account_out(one, to_sender=by.sender is not None)
                                     for one in found[:wanted.limit]],
                           next=found[wanted.limit - 1].id if len(found) > wanted.limit else None)
        return JSONResponse(page.model_dump(mode="json"))

    @router.get("/{account}", response_model=AccountOut, operation_id="readAccount", summary="One account",
                responses=answers)
    async def one(account: AccountPath, by: Annotated[Caller, asking]) -> Response:
        record = await visible(desk, by, account)
        return JSONResponse(account_out(record, to_sender=by.sender is not None).model_dump(mode="json"))

    return router


def _select(desk: Desk, wanted: Wanted, own: str | None) -> list[AccountRecord]:
    """One more than the page holds, to know whether another one follows."""
    with desk.ctx.store.read() as tx:
        which = Filter(site=wanted.site, state=wanted.state, ending_before=wanted.ending_before, stuck=wanted.stuck,
                       sender=whose(tx, own, wanted.sender), live=wanted.live)
        return accounts.select(tx, which, wanted.limit + 1, wanted.after)
