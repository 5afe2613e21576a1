"""The claim door: GET shows the account and changes nothing, POST mints the holder's credential for their own key."""

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Annotated
from urllib.parse import parse_qs
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response
from pydantic import BaseModel, Field

from orchestrator.entry.http import claim_page
from orchestrator.entry.http.bodies import check, parse
from orchestrator.entry.http.claim_page import Rescue, View
from orchestrator.entry.http.contracts import conversion_of, fields, is_form, not_too_often
from orchestrator.entry.http.desk import Desk
from orchestrator.entry.http.documents import accepts, refusals
from orchestrator.entry.http.intake import RawBody
from orchestrator.entry.http.pages import Language, spoken
from orchestrator.entry.http.payloads import ClaimIn, WishIn
from orchestrator.entry.http.problems import Problem
from orchestrator.entry.http.refusals import problem_of
from orchestrator.flows.endings.rescue import minted, open_until, rescue
from orchestrator.flows.money.contract import wish
from orchestrator.flows.vouchers.claim import account_of, claim, from_json
from orchestrator.lifecycle.account import Account, State
from orchestrator.lifecycle.errors import RuleError
from orchestrator.store import accounts, sites
from orchestrator.store import claims as kept_claims
from orchestrator.store.errors import StoreError
from providers.protocol import Credential, SiteError
from providers.registry import rescues

Token = Annotated[str, Path(max_length=128, description="the secret part of the claim link")]
Lang = Annotated[str | None, Query(max_length=8, description="`en` or `zh`; else Accept-Language decides")]

_TOLD = {"bad_key": "error_bad_key", "bad_body": "error_bad_key", "no_key": "error_no_key",
         "key_taken": "error_key_taken", "too_many_requests": "error_later", "no_rescue": "error_no_rescue"}


class CredentialOut(BaseModel):
    """What a holder connects with; nothing in it is secret."""

    account: str
    certificate: str = Field(description="OpenSSH user certificate, one line")
    login: str
    port: int
    host_keys: list[str] = Field(description="known_hosts lines")
    expires: str
    command: str = Field(description="the ssh command, once certificate and host keys are saved under ~/.ssh; of a "
                                     "sealed credential, the command that opens it with the holder's private key")
    sealed: str = Field(default="", description="a cloud's credential, in age's format, sealed to the holder's own "
                                                "SSH key; certificate and host_keys are empty then")
    fetch_only: bool = Field(default=False, description="the account has ended: until `expires` this fetches its files "
                                                        "(SFTP, read-only) and does nothing else")


def routes(desk: Desk) -> APIRouter:
    """The page, the mint, and the two files to save."""
    router = APIRouter(tags=["claim"])

    @router.get("/claim/{token}", response_class=HTMLResponse, operation_id="showClaim", summary="The claim page")
    async def show(request: Request, token: Token, lang: Lang = None) -> Response:
        return await _page(desk, token, spoken(request, lang))

    @router.post("/claim/{token}", response_model=CredentialOut, operation_id="claim",
                 summary="Mint the credential for the holder's public key",
                 responses=refusals(400, 404, 409, 413, 429, 503), openapi_extra=accepts(ClaimIn, form=True))
    async def mint(request: Request, token: Token, raw: RawBody, lang: Lang = None) -> Response:
        if is_form(request):
            return await _mint_for_page(desk, token, raw, spoken(request, lang))
        account, credential = await _mint(desk, token, lambda: parse(ClaimIn, raw).ssh_public_key)
        return JSONResponse(_out(account, credential).model_dump(), headers={"Cache-Control": "no-store"})

    @router.post("/claim/{token}/contract", operation_id="wishContract", summary="Ask for a contract, before the end",
                 status_code=303, response_class=RedirectResponse, responses=refusals(400, 404, 409, 413, 429, 503),
                 openapi_extra=accepts(WishIn, form=True))
    async def ask_for_contract(request: Request, token: Token, raw: RawBody, lang: Lang = None) -> Response:
        account, language = _known(desk, token), spoken(request, lang)
        try:
            await _wish(desk, account, request, raw)
        except (Problem, RuleError, StoreError) as error:
            if not is_form(request):
                raise
            found = error if isinstance(error, Problem) else problem_of(error)
            told = {400: "error_bad_days", 409: "error_no_contract"}.get(found.status, "error_busy")
            return await _page(desk, token, language, told, found)
        return RedirectResponse(f"/claim/{token}?lang={language}", 303)

    @router.get("/claim/{token}/certificate", response_class=PlainTextResponse, operation_id="claimCertificate",
                summary="The certificate that was minted", responses=refusals(404))
    async def certificate(token: Token) -> Response:
        return await _file(desk, token, "cert.pub")

    @router.get("/claim/{token}/hosts", response_class=PlainTextResponse, operation_id="claimHosts",
                summary="The site's host keys, as known_hosts lines", responses=refusals(404))
    async def hosts(token: Token) -> Response:
        return await _file(desk, token, "hosts")

    return router


def _form(raw: bytes) -> ClaimIn:
    try:
        given = parse_qs(raw.decode("ascii"), strict_parsing=True, max_num_fields=4, errors="strict",
                         keep_blank_values=True)
    except ValueError as error:
        raise Problem(400, "bad_body", "the form cannot be read") from error
    if any(len(values) != 1 for values in given.values()):
        raise Problem(400, "bad_body", "a field of the form stands there twice")
    found = {name: values[0].strip() for name, values in given.items()}
    if not found.get("ssh_public_key"):
        raise Problem(400, "no_key", "the form has no key")
    return check(ClaimIn, found)


def _known(desk: Desk, token: str) -> str:
    account = account_of(desk.ctx.keyring, token)
    if account is None:
        raise Problem(404, "claim_unknown", "this claim link is not known")
    return account


def _read(desk: Desk, token: str) -> tuple[Account, Credential | None]:
    account_id = _known(desk, token)
    with desk.ctx.store.read() as tx:
        account, kept = accounts.get(tx, account_id), kept_claims.get(tx, account_id)
    if account is None:
        raise Problem(404, "claim_unknown", "this claim link is not known")
    if account.state is State.FENCED:
        return account, minted(account, kept)
    return account, from_json(kept.credential) if kept is not None and "certificate" in kept.credential else None


async def _wish(desk: Desk, account: str, request: Request, raw: bytes) -> None:
    not_too_often(desk, account)
    wanted = check(WishIn, fields(request, raw))
    await desk.lanes.write(wish, desk.ctx, account, timedelta(days=wanted.days))


async def _mint(desk: Desk, token: str, key: Callable[[], str]) -> tuple[Account, Credential]:
    account, _ = await desk.lanes.read(_read, desk, token)
    wait = desk.claims.take(account.id, time.monotonic())
    if wait:
        raise Problem(429, "too_many_requests", "this link is asked too much at once", retry_after=wait)
    flow = claim if account.grace_until is None else rescue
    return account, await desk.lanes.site(account.site, flow, desk.ctx, account.id, key())


async def _mint_for_page(desk: Desk, token: str, raw: bytes, lang: Language) -> Response:
    try:
        await _mint(desk, token, lambda: _form(raw).ssh_public_key)
    except (Problem, RuleError, StoreError, SiteError) as error:
        found = error if isinstance(error, Problem) else problem_of(error)
        if found.status == 404:
            return await _page(desk, token, lang)
        told = _TOLD.get(found.code, "error_later" if found.status == 503 else "error_not_ready")
        # Details are English.
        detail = found.detail.removeprefix("ssh_public_key: ") if told == "error_bad_key" and lang == "en" else ""
        return await _page(desk, token, lang, told, found, detail)
    return await _page(desk, token, lang)


async def _page(desk: Desk, token: str, lang: Language, told: str | None = None, refusal: Problem | None = None,
                detail: str = "") -> Response:
    try:
        account, credential = await desk.lanes.read(_read, desk, token)
    except Problem as error:
        if error.status != 404:
            raise
        return HTMLResponse(claim_page.render(None, lang, ""), 404, dict(claim_page.PAGES.headers))
    shown = _view(desk, account, credential, lang)
    shown = replace(shown, conversion=await desk.lanes.read(conversion_of, desk.ctx, account),
                    rescue=await desk.lanes.read(_rescue, desk, account, credential))
    headers = dict(claim_page.PAGES.headers) | (refusal.headers if refusal else {})
    return HTMLResponse(claim_page.render(shown, lang, f"/claim/{token}", told, detail),
                        refusal.status if refusal else 200, headers)


def _view(desk: Desk, account: Account, credential: Credential | None, lang: Language) -> View:
    return claim_page.view(account, credential, desk.ctx.clock(), ZoneInfo(desk.ctx.settings.timezone), lang)


def _rescue(desk: Desk, account: Account, credential: Credential | None) -> Rescue | None:
    """What can still be fetched of an account that has ended, at a site where that is possible."""
    until = open_until(account, desk.ctx.clock())
    if until is None:
        return None
    with desk.ctx.store.read() as tx:
        site = sites.get(tx, account.site)
    if site is None or not rescues(site.kind):
        return None
    return claim_page.rescue(account, credential, until, ZoneInfo(desk.ctx.settings.timezone))


async def _file(desk: Desk, token: str, kind: str) -> Response:
    account, credential = await desk.lanes.read(_read, desk, token)
    if credential is None:
        raise Problem(404, "not_claimed", "nothing was minted for this account yet")
    if credential.sealed:
        kind, text = "sealed.age", credential.sealed
    else:
        kind = f"rescue-{kind}" if kind == "cert.pub" and account.state is State.FENCED else kind
        text = credential.certificate.strip() if kind.endswith("cert.pub") else "\n".join(credential.host_keys)
    return PlainTextResponse(text + "\n", headers={
        "Cache-Control": "no-store", "Content-Disposition": f'attachment; filename="tenure-{account.id}-{kind}"'})


def _out(account: Account, credential: Credential) -> CredentialOut:
    fetching = account.state is State.FENCED
    command = claim_page.sftp_command if fetching else claim_page.ssh_command
    return CredentialOut(account=account.id, certificate=credential.certificate, login=credential.login,
                         port=credential.port, host_keys=list(credential.host_keys),
                         expires=credential.expires.isoformat(), sealed=credential.sealed,
                         command=command(account.id, credential), fetch_only=fetching)
