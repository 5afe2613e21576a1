"""Signing in and out: a token becomes a session's cookie, which ends by itself, unused, with its token, or here."""

import logging
import time
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from orchestrator.entry.http import sign_in_page
from orchestrator.entry.http.auth import VIEWERS, Caller, of_token, token_of
from orchestrator.entry.http.desk import Desk
from orchestrator.entry.http.intake import RawBody
from orchestrator.entry.http.pages import Language, spoken
from orchestrator.entry.http.problems import Problem
from orchestrator.entry.http.session import cookie_name, fields, form_of, from_here, safe_next, secure, visitor
from orchestrator.store import journal, sessions
from orchestrator.store.errors import NotFound
from orchestrator.store.tokens import Token

log = logging.getLogger("tenure.http")
Lang = Annotated[str | None, Query(max_length=8)]
Next = Annotated[str, Query(alias="next", max_length=512)]


def routes(desk: Desk) -> APIRouter:
    """The page, signing in by a token, signing out."""
    router = APIRouter(include_in_schema=False)
    By = Annotated[Caller, Depends(visitor(desk, VIEWERS))]

    @router.get("/sign-in")
    async def show(request: Request, lang: Lang = None, then: Next = "/", out: str = "") -> Response:
        return page(desk, spoken(request, lang), then, "signed_out" if out else None)

    @router.post("/sign-in")
    async def sign_in(request: Request, raw: RawBody, lang: Lang = None) -> Response:
        await from_here(desk, request)
        given, language = fields(raw), spoken(request, lang)
        then = given.get("next", "/")
        wait = desk.sign_ins.take(request.client.host if request.client else "", time.monotonic())
        if wait:
            return page(desk, language, then, "error_later", 429, retry_after=wait)
        found = await token_of(desk, given.get("token", "").strip())
        if found is None:
            await desk.lanes.write(desk.refusals.note, desk.ctx, "token_wrong", "sign-in", "unknown")
            return page(desk, language, then, "error_token", 401)
        if found.role not in VIEWERS:
            await desk.lanes.write(desk.refusals.note, desk.ctx, "role_forbidden", "sign-in", of_token(found).actor)
            return page(desk, language, then, "error_role", 403, role=found.role)
        return signed_in(desk, await desk.lanes.write(open_session, desk, of_token(found), found), then)

    @router.post("/sign-out")
    async def sign_out(request: Request, raw: RawBody, by: By) -> Response:
        form_of(by, raw)
        await desk.lanes.write(_close, desk, request.cookies.get(cookie_name(desk), ""), by.actor)
        answer = RedirectResponse("/sign-in?out=1", 303, {"Cache-Control": "no-store"})
        answer.delete_cookie(cookie_name(desk), secure=secure(desk), httponly=True, samesite="lax")
        return answer

    return router


def open_session(desk: Desk, who: Caller, token: Token | None = None) -> str:
    """A session of this caller, journalled; answers what its cookie holds."""
    now = desk.ctx.clock()
    with desk.ctx.store.write() as tx:
        made, plain = sessions.open_(tx, who.actor, who.role, now, now + desk.ctx.settings.sessions.longest, token)
        journal.write(tx, "session.opened", made.id, who.actor, role=who.role, ends_at=made.ends_at)
    return plain


def signed_in(desk: Desk, plain: str, then: str) -> Response:
    """On to where the browser wanted to go, with its cookie."""
    answer = RedirectResponse(safe_next(then), 303, {"Cache-Control": "no-store"})
    answer.set_cookie(cookie_name(desk), plain, max_age=int(desk.ctx.settings.sessions.longest.total_seconds()),
                      secure=secure(desk), httponly=True, samesite="lax")
    return answer


def page(desk: Desk, lang: Language, then: str, told: str | None = None, status: int = 200, *, role: str = "",
         retry_after: int | None = None) -> Response:
    """The sign-in page, telling something."""
    oidc = desk.ctx.settings.oidc
    headers = dict(sign_in_page.PAGES.headers) | ({"Retry-After": str(retry_after)} if retry_after else {})
    return HTMLResponse(sign_in_page.render(lang, safe_next(then), told, role, oidc.name if oidc.issuer else None),
                        status, headers)


def _close(desk: Desk, plain: str, actor: str) -> None:
    with desk.ctx.store.write() as tx:
        try:
            closed = sessions.close(tx, plain.partition(".")[0])
        except NotFound as gone:
            raise Problem(403, "form_foreign", "there is no session to end") from gone
        journal.write(tx, "session.closed", closed.id, actor)
