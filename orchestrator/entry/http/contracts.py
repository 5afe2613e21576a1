"""The doors of a contract's paper: read and signed at its own link, which the claim page tells. GET changes nothing."""

import hashlib
import time
from typing import Annotated, Any
from urllib.parse import parse_qs

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from orchestrator.entry.http import contract_page
from orchestrator.entry.http.bodies import check
from orchestrator.entry.http.claim_page import Conversion
from orchestrator.entry.http.contract_page import Shown
from orchestrator.entry.http.desk import Desk
from orchestrator.entry.http.documents import accepts, refusals
from orchestrator.entry.http.intake import RawBody
from orchestrator.entry.http.pages import Language, spoken
from orchestrator.entry.http.payloads import SignIn
from orchestrator.entry.http.problems import Problem
from orchestrator.entry.http.strict_json import loads
from orchestrator.flows.context import Context
from orchestrator.flows.money import contract as flow
from orchestrator.lifecycle.account import Account
from orchestrator.lifecycle.errors import RuleError
from orchestrator.lifecycle.paper import PaperState
from orchestrator.store import contracts, papers, price_lists
from orchestrator.store.engine import Tx
from orchestrator.store.errors import Conflict, StoreBusy

Token = Annotated[str, Path(max_length=256, description="the secret part of the link")]
Lang = Annotated[str | None, Query(max_length=8, description="`en` or `zh`; else Accept-Language decides")]


def routes(desk: Desk) -> APIRouter:
    """The page, the document, the signature."""
    router = APIRouter(tags=["contracts"])

    @router.get("/contract/{token}", response_class=HTMLResponse, operation_id="showContract",
                summary="The signing page")
    async def show(request: Request, token: Token, lang: Lang = None) -> Response:
        return await _page(desk, token, spoken(request, lang))

    @router.get("/contract/{token}/document", response_class=HTMLResponse, operation_id="contractDocument",
                summary="The document: exactly the bytes that are signed", responses=refusals(404, 503))
    async def document(token: Token) -> Response:
        found = await desk.lanes.read(_document, desk, _known(desk, token))
        return HTMLResponse(found, headers=contract_page.DOCUMENT_HEADERS)

    @router.post("/contract/{token}", response_class=HTMLResponse, operation_id="signContractPaper",
                 summary="Sign the document that was shown", responses=refusals(400, 404, 409, 413, 429, 503),
                 openapi_extra=accepts(SignIn, form=True))
    async def sign(request: Request, token: Token, raw: RawBody, lang: Lang = None) -> Response:
        paper, language = _known(desk, token), spoken(request, lang)
        not_too_often(desk, paper)
        try:
            signed = check(SignIn, fields(request, raw))
        except Problem as error:
            return await _page(desk, token, language, "error_agree", error.status)
        try:
            await desk.lanes.write(flow.sign, desk.ctx, paper, signed.document, actor="holder")
        except RuleError as error:
            told = "error_differs" if error.code == "document_differs" else "error_late"
            return await _page(desk, token, language, told, 409)
        except (StoreBusy, Conflict):
            return await _page(desk, token, language, "error_later", 503)
        return RedirectResponse(f"/contract/{token}?lang={language}", 303)

    return router


def conversion_of(ctx: Context, account: Account) -> Conversion | None:
    """What the claim page says of a contract; None where there is nothing to say, or no prices are applied."""
    with ctx.store.read() as tx:
        known = papers.list_(tx, account=account.id, open_only=True)
        offered = bool(known) or bool(price_lists.list_(tx))
        active = None if known else _active(tx, account)
    if active is not None:
        return active
    if not offered:
        return None
    if known and known[0].state is PaperState.DRAFT:
        return Conversion("draft", f"/contract/{flow.token(ctx.keyring, known[0].id)}")
    if known:
        return Conversion("wished")
    try:
        flow.may_wish(account, ctx.clock())
    except RuleError:
        return None
    return Conversion("may")


def _active(tx: Tx, account: Account) -> Conversion | None:
    """The contract that the account is under, or was last."""
    contract = contracts.get(tx, account.id, account.contract) if account.contract is not None else None
    if contract is None or contract.begun_at is None:
        return None
    paper = papers.get(tx, contract.id)
    if paper is None or not paper.terms:
        return Conversion("active", number=contract.id)
    return Conversion("active", number=contract.id, price=f"{paper.price:,f}", hourly=paper.open)


def not_too_often(desk: Desk, whose: str) -> None:
    """Problem 429 when this one is asked for too much at once."""
    wait = desk.claims.take(whose, time.monotonic())
    if wait:
        raise Problem(429, "too_many_requests", "this link is asked too much at once", retry_after=wait)


def is_form(request: Request) -> bool:
    """Whether a browser sent it, who is answered with a page."""
    return request.headers.get("content-type", "").split(";")[0].strip().lower() == "application/x-www-form-urlencoded"


def fields(request: Request, raw: bytes) -> dict[str, Any]:
    """A form's fields, or those of a JSON object."""
    if not is_form(request):
        return loads(raw)
    try:
        given = parse_qs(raw.decode("ascii"), strict_parsing=True, max_num_fields=4, errors="strict")
    except ValueError as error:
        raise Problem(400, "bad_body", "the form cannot be read") from error
    return {name: values[0] for name, values in given.items()}


def _known(desk: Desk, token: str) -> str:
    paper = flow.paper_of(desk.ctx.keyring, token)
    if paper is None:
        raise Problem(404, "contract_unknown", "this link is not known")
    return paper


async def _page(desk: Desk, token: str, lang: Language, error: str | None = None, status: int = 200) -> Response:
    zone, headers = desk.ctx.settings.timezone, dict(contract_page.PAGES.headers)
    paper = flow.paper_of(desk.ctx.keyring, token)
    found = await desk.lanes.read(_shown, desk, paper) if paper is not None else None
    if found is None:
        return HTMLResponse(contract_page.render(None, lang, "", zone), 404, headers)
    return HTMLResponse(contract_page.render(found, lang, f"/contract/{token}", zone, error), status, headers)


def _shown(desk: Desk, paper_id: str) -> Shown | None:
    with desk.ctx.store.read() as tx:
        paper = papers.get(tx, paper_id)
        document = papers.document(tx, paper_id)
        if paper is None or document is None:
            return None
        return Shown(paper, flow.stage_of(tx, paper), hashlib.sha256(document).hexdigest(),
                     flow.vouchers_of(tx, paper.account))


def _document(desk: Desk, paper_id: str) -> bytes:
    with desk.ctx.store.read() as tx:
        found = papers.document(tx, paper_id)
    if found is None:
        raise Problem(404, "contract_unknown", "this link is not known")
    return found
