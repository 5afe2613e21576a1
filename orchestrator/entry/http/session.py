"""Browsers that are signed in: who asks by a cookie or a bearer token, and where one without either is sent."""

import hmac
import re
from collections.abc import Awaitable, Callable
from typing import Annotated
from urllib.parse import parse_qs, quote, urlsplit

from fastapi import Request, Security
from fastapi.responses import RedirectResponse, Response
from fastapi.security import HTTPAuthorizationCredentials

from orchestrator.entry.http.auth import Caller, admit, bearer, by_bearer
from orchestrator.entry.http.desk import Desk
from orchestrator.entry.http.problems import Problem
from orchestrator.store import sessions
from orchestrator.store.sessions import SEEN_EVERY, Session

FORM_KEY = "form_key"
_SAFE = frozenset({"GET", "HEAD"})
_NEXT = re.compile(r"/(?![/\\])[\x21-\x5b\x5d-\x7e]{0,500}")


class SignInFirst(Problem):
    """A browser that nobody has signed in yet; it comes back to where it wanted to go."""

    def __init__(self, wanted: str) -> None:
        super().__init__(401, "not_signed_in", "sign in first")
        self.to = f"/sign-in?next={quote(safe_next(wanted), safe='/')}"

    def answer(self) -> Response:
        return RedirectResponse(self.to, 303, {"Cache-Control": "no-store"})


def visitor(desk: Desk, roles: frozenset[str]) -> Callable[..., Awaitable[Caller]]:
    """A dependency for pages: lets these roles through by their session's cookie or by a bearer token.

    A browser with neither is sent to the sign-in page (303); a program gets 401. Wrong roles get 403. What changes
    something reads its form with `form_of`.
    """

    async def allowed(request: Request,
                      given: Annotated[HTTPAuthorizationCredentials | None, Security(bearer)]) -> Caller:
        if given is not None:
            return await by_bearer(desk, roles, given)
        plain = request.cookies.get(cookie_name(desk))
        found = await desk.lanes.read(_check, desk, plain) if plain else None
        if found is None or plain is None:
            if _is_browser(request):
                raise SignInFirst(_path(request) if request.method in _SAFE else "/")
            return await by_bearer(desk, roles, None)
        asking = Caller(found.actor, found.role, form_key=form_key(desk, plain))
        if request.method not in _SAFE:
            await from_here(desk, request, asking.actor)
        await admit(desk, roles, asking, found.id)
        if desk.ctx.clock() - found.seen_at > SEEN_EVERY:
            await desk.lanes.write(_seen, desk, found.id)
        return asking

    return allowed


def cookie_name(desk: Desk) -> str:
    """`__Host-` makes a browser refuse the cookie unless it is secure and this host's own."""
    return "__Host-tenure" if secure(desk) else "tenure"


def secure(desk: Desk) -> bool:
    """Whether browsers reach us by https only."""
    return desk.ctx.settings.base_url.startswith("https://")


def safe_next(wanted: str) -> str:
    """A path of ours to go on to, or `/` for anything that could lead elsewhere."""
    return wanted if _NEXT.fullmatch(wanted) else "/"


def form_key(desk: Desk, plain: str) -> str:
    """What forms shown in this session bring back: known to nobody who cannot read its pages."""
    return desk.ctx.keyring.mac("form", plain).hex()


def fields(raw: bytes) -> dict[str, str]:
    """The fields of a posted form, each once. Problem 400."""
    try:
        found = parse_qs(raw.decode("ascii"), strict_parsing=True, max_num_fields=50, errors="strict")
    except ValueError as error:
        raise Problem(400, "bad_body", "the form cannot be read") from error
    if any(len(values) != 1 for values in found.values()):
        raise Problem(400, "bad_body", "a field of the form stands there twice")
    return {name: values[0] for name, values in found.items()}


def form_of(by: Caller, raw: bytes) -> dict[str, str]:
    """The same for somebody signed in, whose form has to bring their `form_key` back. Problem 400, 403."""
    found = fields(raw)
    given = found.pop(FORM_KEY, "")
    if by.form_key is not None and not hmac.compare_digest(given.encode(), by.form_key.encode()):
        raise Problem(403, "form_foreign", "this form is not from a page of your session; load the page again")
    return found


async def from_here(desk: Desk, request: Request, actor: str = "unknown") -> None:
    """Problem 403, journalled, when a browser says that another site's page made it send this."""
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    if site is not None:
        ours = site in ("same-origin", "none")
    else:
        hosts = {urlsplit(desk.ctx.settings.base_url).netloc, request.headers.get("host")}
        ours = origin is None or urlsplit(origin).netloc in hosts
    if not ours:
        await desk.lanes.write(desk.refusals.note, desk.ctx, "form_foreign", "sign-in", actor)
        raise Problem(403, "form_foreign", "this was sent by a page of another site")


def _is_browser(request: Request) -> bool:
    return "text/html" in request.headers.get("accept", "")


def _path(request: Request) -> str:
    return request.url.path + (f"?{request.url.query}" if request.url.query else "")


def _check(desk: Desk, plain: str) -> Session | None:
    with desk.ctx.store.read() as tx:
        return sessions.check(tx, plain, desk.ctx.clock(), desk.ctx.settings.sessions.idle)


def _seen(desk: Desk, id: str) -> None:
    with desk.ctx.store.write() as tx:
        sessions.seen(tx, id, desk.ctx.clock())
