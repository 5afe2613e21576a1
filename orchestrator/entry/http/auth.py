"""Bearer tokens: who asks, and what their role may do. A sender's token sees its own accounts and nothing else."""

import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated

from fastapi import Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from orchestrator.entry.http.desk import Desk
from orchestrator.entry.http.problems import Problem
from orchestrator.store import accounts, tokens
from orchestrator.store.accounts import AccountRecord
from orchestrator.store.errors import NotFound
from orchestrator.store.tokens import Token

READERS = frozenset({"viewer", "operator", "admin", "sender"})
OPERATORS = frozenset({"operator", "admin"})

_ACCOUNT = re.compile(r"a[a-z2-7]{9}")
_PLAIN = re.compile(r"[\x21-\x7e]{1,256}")
_bearer = HTTPBearer(auto_error=False, scheme_name="token", description="made by `tenure token`")


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks. `actor` is what the journal calls them."""

    token: Token

    @property
    def actor(self) -> str:
        return f"token:{self.token.id}"

    @property
    def sender(self) -> str | None:
        """The one sender whose accounts it sees, or None for all."""
        return self.token.sender if self.token.role == "sender" else None


def caller(desk: Desk, roles: frozenset[str]) -> Callable[..., Awaitable[Caller]]:
    """A dependency that lets these roles through. 401, 403 and 429 otherwise; 401 and 403 are journalled."""

    async def allowed(given: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)]) -> Caller:
        found = None
        if given is not None and _PLAIN.fullmatch(given.credentials):
            found = await desk.lanes.read(_check, desk, given.credentials)
        if found is None:
            await desk.lanes.write(desk.refusals.note, desk.ctx, "token_wrong", "api", "unknown")
            raise Problem(401, "token_missing" if given is None else "token_wrong", "a valid bearer token is needed",
                          headers={"WWW-Authenticate": "Bearer"})
        asking = Caller(found)
        wait = desk.tokens.take(found.id, time.monotonic())
        if wait:
            raise Problem(429, "too_many_requests", "this token asks too much at once", retry_after=wait)
        if found.role not in roles:
            await desk.lanes.write(desk.refusals.note, desk.ctx, "role_forbidden", "api", asking.actor)
            raise Problem(403, "role_forbidden", f"a {found.role} may not do this")
        return asking

    return allowed


def _check(desk: Desk, plain: str) -> Token | None:
    with desk.ctx.store.read() as tx:
        return tokens.check(tx, plain)


async def visible(desk: Desk, asking: Caller, account: str) -> AccountRecord:
    """The account when this caller may know of it; otherwise 404, journalled when it is another sender's."""
    record = await desk.lanes.read(_record, desk, account) if _ACCOUNT.fullmatch(account) else None
    if record is not None and asking.sender in (None, record.sender):
        return record
    if record is not None:
        await desk.lanes.write(desk.refusals.note, desk.ctx, "not_yours", record.id, asking.actor)
    raise Problem(404, "not_found", "there is no such account")


def _record(desk: Desk, account: str) -> AccountRecord | None:
    with desk.ctx.store.read() as tx:
        try:
            return accounts.record(tx, account)
        except NotFound:
            return None


