"""Signing in at the operator's OpenID provider: away with a sealed cookie, back with a code, a session for a role."""

import base64
import binascii
import hmac
import json
import logging
import re
import time
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import RedirectResponse, Response

from orchestrator.entry.http.auth import Caller
from orchestrator.entry.http.desk import Desk
from orchestrator.entry.http.oidc import Attempt, OidcError, Person, Provider, ProviderAway
from orchestrator.entry.http.pages import spoken
from orchestrator.entry.http.session import cookie_name, safe_next, secure
from orchestrator.entry.http.sign_in import Lang, Next, open_session, page, signed_in
from orchestrator.store.errors import WrongKey
from orchestrator.store.seal import Keyring
from orchestrator.store.tokens import Role

log = logging.getLogger("tenure.http")

BACK = "/sign-in/oidc/done"
PATIENCE = timedelta(minutes=10)
"""For whoever types a password at the provider."""
_PLACE = "cookies/oidc"
_STRONGEST: tuple[Role, ...] = ("admin", "operator", "viewer")
_PLAIN = re.compile(r"[A-Za-z0-9._|:-]{1,100}")
Text = Annotated[str | None, Query(max_length=4096)]


def routes(desk: Desk) -> APIRouter:
    """The way there and the way back; nothing while no provider is set."""
    router, settings = APIRouter(include_in_schema=False), desk.ctx.settings
    if not settings.oidc.issuer:
        return router
    provider = Provider(settings.oidc, settings.base_url + BACK, desk.ctx.clock)

    @router.get("/sign-in/oidc")
    async def away(request: Request, lang: Lang = None, then: Next = "/") -> Response:
        wait = desk.sign_ins.take(request.client.host if request.client else "", time.monotonic())
        if wait:
            return page(desk, spoken(request, lang), then, "error_later", 429, retry_after=wait)
        try:
            address, attempt = await desk.lanes.provider(provider.begin)
        except OidcError as error:
            return await _refused(desk, request, then, error)
        answer = RedirectResponse(address, 303, {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"})
        answer.set_cookie(_cookie(desk), _sealed(desk, attempt, safe_next(then)), secure=secure(desk), httponly=True,
                          samesite="lax", max_age=int(PATIENCE.total_seconds()))
        return answer

    @router.get(BACK)
    async def back(request: Request, state: Text = None, code: Text = None, iss: Text = None,
                   error: Text = None) -> Response:
        then = "/"
        try:
            attempt, then = _attempt(desk, request.cookies.get(_cookie(desk), ""), state or "")
            if error is not None or not code:
                raise OidcError("the provider has signed nobody in")
            person = await desk.lanes.provider(provider.finish, attempt, code, iss)
        except OidcError as refusal:
            return await _refused(desk, request, then, refusal)
        role, actor = role_of(settings.oidc.roles, person), actor_of(desk.ctx.keyring, person.subject)
        if role is None:
            await desk.lanes.write(desk.refusals.note, desk.ctx, "oidc_no_group", "sign-in", actor)
            return _forget(desk, page(desk, spoken(request, None), then, "error_group", 403))
        plain = await desk.lanes.write(open_session, desk, Caller(actor, role))
        return _forget(desk, signed_in(desk, plain, then))

    return router


def role_of(roles: Mapping[str, Role], person: Person) -> Role | None:
    """The role that may most among those of the person's groups; None when no group is named in the settings."""
    held = {role for group, role in roles.items() if group in person.groups}
    return next((role for role in _STRONGEST if role in held), None)


def actor_of(keys: Keyring, subject: str) -> str:
    """What the journal calls a person: the provider's subject, or its keyed hash when it may be an address."""
    return f"oidc:{subject}" if _PLAIN.fullmatch(subject) else f"oidc:~{keys.mac('oidc-subject', subject).hex()[:32]}"


def _cookie(desk: Desk) -> str:
    return f"{cookie_name(desk)}-oidc"


def _sealed(desk: Desk, attempt: Attempt, then: str) -> str:
    until = (desk.ctx.clock() + PATIENCE).isoformat()
    said = json.dumps([attempt.state, attempt.nonce, attempt.verifier, then, until])
    return base64.urlsafe_b64encode(desk.ctx.keyring.seal(said.encode(), _PLACE)).decode()


def _attempt(desk: Desk, cookie: str, state: str) -> tuple[Attempt, str]:
    """What this browser was sent away with, when it comes back from there and in time. OidcError."""
    try:
        said = json.loads(desk.ctx.keyring.unseal(base64.urlsafe_b64decode(cookie.encode()), _PLACE))
    except (WrongKey, binascii.Error, ValueError) as error:
        raise OidcError("this browser was not sent to the provider by us") from error
    found, then, until = Attempt(*said[:3]), said[3], datetime.fromisoformat(said[4])
    if not hmac.compare_digest(found.state.encode(), state.encode()):
        raise OidcError("this is the answer to another attempt")
    if until <= desk.ctx.clock():
        raise OidcError("it took too long")
    return found, then


async def _refused(desk: Desk, request: Request, then: str, error: OidcError) -> Response:
    log.warning("OpenID sign-in: %s", error)
    await desk.lanes.write(desk.refusals.note, desk.ctx, error.code, "sign-in", "unknown")
    away = isinstance(error, ProviderAway)
    return _forget(desk, page(desk, spoken(request, None), then, "error_away" if away else "error_oidc",
                              503 if away else 401))


def _forget(desk: Desk, answer: Response) -> Response:
    """An attempt is good for one answer."""
    answer.delete_cookie(_cookie(desk), secure=secure(desk), httponly=True, samesite="lax")
    return answer
