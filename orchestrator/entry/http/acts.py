"""What an operator may do to an account. Who asked and why is journalled; the answer is the account after it."""

from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from fastapi.responses import JSONResponse, Response

from orchestrator.entry.http.accounts import AccountPath
from orchestrator.entry.http.auth import OPERATORS, Caller, caller, visible
from orchestrator.entry.http.bodies import parse
from orchestrator.entry.http.desk import Desk
from orchestrator.entry.http.documents import accepts, refusals
from orchestrator.entry.http.intake import RawBody
from orchestrator.entry.http.payloads import Body, ConvertIn, ExtendIn, NotifyIn, WhyIn
from orchestrator.entry.http.shapes import AccountOut, account_out
from orchestrator.entry.http.signing import sign
from orchestrator.flows.accounts import operate
from orchestrator.flows.accounts.extend import extend
from orchestrator.flows.messages.notice import checked, notify

_REFUSALS = refusals(400, 401, 403, 404, 409, 413, 422, 429, 503)


def routes(desk: Desk) -> APIRouter:
    """The seven actions."""
    router = APIRouter(prefix="/v1/accounts/{account}", tags=["accounts"])
    By = Annotated[Caller, Depends(caller(desk, OPERATORS))]

    def door(name: str, body: type[Body], summary: str, status: int = 200) -> dict[str, Any]:
        return {"path": f"/{name}", "operation_id": name, "summary": summary, "status_code": status,
                "response_model": AccountOut, "responses": _REFUSALS, "openapi_extra": accepts(body)}

    async def answer(by: Caller, account: str, status: int) -> Response:
        record = await visible(desk, by, account)
        return JSONResponse(account_out(record, to_sender=False).model_dump(mode="json"), status)

    @router.post(**door("extend", ExtendIn, "Move the end"))
    async def extend_door(account: AccountPath, raw: RawBody, by: By) -> Response:
        want, record = parse(ExtendIn, raw), await visible(desk, by, account)
        await desk.lanes.site(record.site, partial(extend, desk.ctx, record.id, to=want.ends_at, actor=by.actor,
                                                   why=want.why))
        return await answer(by, account, 200)

    @router.post(**door("fence", WhyIn, "Close it now; nothing is deleted"))
    async def fence_door(account: AccountPath, raw: RawBody, by: By) -> Response:
        want, record = parse(WhyIn, raw), await visible(desk, by, account)
        await desk.lanes.site(record.site, partial(operate.fence, desk.ctx, record.id, actor=by.actor, why=want.why))
        return await answer(by, account, 200)

    @router.post(**door("unfence", WhyIn, "Lift an operator's fence, before the end"))
    async def unfence_door(account: AccountPath, raw: RawBody, by: By) -> Response:
        want, record = parse(WhyIn, raw), await visible(desk, by, account)
        await desk.lanes.site(record.site, partial(operate.unfence, desk.ctx, record.id, actor=by.actor, why=want.why))
        return await answer(by, account, 200)

    @router.post(**door("reclaim", WhyIn, "Take it back without waiting for its end or grace", 202))
    async def reclaim_door(account: AccountPath, raw: RawBody, by: By) -> Response:
        want, record = parse(WhyIn, raw), await visible(desk, by, account)
        await desk.lanes.write(partial(operate.reclaim, desk.ctx, record.id, actor=by.actor, why=want.why))
        return await answer(by, account, 202)

    @router.post(**door("retry", WhyIn, "Try what is stuck again now", 202))
    async def retry_door(account: AccountPath, raw: RawBody, by: By) -> Response:
        want, record = parse(WhyIn, raw), await visible(desk, by, account)
        await desk.lanes.write(partial(operate.retry, desk.ctx, record.id, actor=by.actor, why=want.why))
        return await answer(by, account, 202)

    @router.post(**door("notify", NotifyIn, "Tell its holder something: callback, mail, open terminals"))
    async def notify_door(account: AccountPath, raw: RawBody, by: By) -> Response:
        want, record = parse(NotifyIn, raw), await visible(desk, by, account)
        await desk.lanes.site(record.site, partial(notify, desk.ctx, record.id, checked(want.text_zh, want.text_en),
                                                   actor=by.actor, why=want.why))
        return await answer(by, account, 200)

    @router.post(**door("convert", ConvertIn, "Convert it in place to a rental contract", 202))
    async def convert_door(account: AccountPath, raw: RawBody, by: By) -> Response:
        want, record = parse(ConvertIn, raw), await visible(desk, by, account)
        await desk.lanes.write(sign, desk, record.id, want, by.actor, want.why)
        return await answer(by, account, 202)

    return router
