"""What an operator may do to an account. Who asked and why goes into the journal; the answer is the account after it."""

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from fastapi.responses import JSONResponse, Response

from orchestrator.entry.http.accounts import AccountPath
from orchestrator.entry.http.auth import OPERATORS, Caller, caller, visible
from orchestrator.entry.http.desk import Desk
from orchestrator.entry.http.documents import accepts, refusals
from orchestrator.entry.http.intake import RawBody
from orchestrator.entry.http.payloads import ConvertIn, ExtendIn, WhyIn, parse
from orchestrator.entry.http.shapes import AccountOut, account_out


def routes(desk: Desk) -> APIRouter:
    """The five actions."""
    router = APIRouter(prefix="/v1/accounts/{account}", tags=["accounts"])
    asking = Depends(caller(desk, OPERATORS))
    answers: dict[str, Any] = {"response_model": AccountOut,
                               "responses": refusals(400, 401, 403, 404, 409, 413, 422, 429, 503)}

    async def answer(by: Caller, account: str, status: int = 200) -> Response:
        record = await visible(desk, by, account)
        return JSONResponse(account_out(record, to_sender=False).model_dump(mode="json"), status)

    async def at_site(by: Caller, account: str, act: Callable[..., object], *args: object) -> Response:
        record = await visible(desk, by, account)
        await desk.lanes.site(record.site, act, desk.ctx, record.id, *args)
        return await answer(by, account)

    @router.post("/extend", operation_id="extend", summary="Move the end", openapi_extra=accepts(ExtendIn), **answers)
    async def extend_door(account: AccountPath, raw: RawBody, by: Annotated[Caller, asking]) -> Response:
        want = parse(ExtendIn, raw)
        return await at_site(by, account, extend, want.ends_at, by.actor, want.why)
    return router
