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
from orchestrator.store import accounts, senders, tokens
from orchestrator.store.accounts import AccountRecord
from orchestrator.store.engine import Tx
from orchestrator.store.errors import NotFound
from orchestrator.store.tokens import Role, Token

OPERATORS = frozenset({"operator", "admin"})
VIEWERS = OPERATORS | {"viewer"}
"""Whose browsers may be signed in."""
READERS = VIEWERS | {"sender"}

_ACCOUNT = re.compile(r"a[a-z2-7]{9}")
_PLAIN = re.compile(r"[\x21-\x7e]{1,256}")
bearer = HTTPBearer(auto_error=False, scheme_name="token", description="made by `tenure token`")


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks. `actor` is what the journal calls them; `sender` the one sender whose accounts they see, None for all;
    `form_key` is what the forms of a page shown to a signed-in browser must bring back."""

    actor: str
    role: Role
    sender: str | None = None
    form_key: str | None = None


def of_token(token: Token) -> Caller:
    """Whoever holds this token."""
    return Caller(f"token:{token.id}", token.role, token.sender if token.role == "sender" else None)


def caller(desk: Desk, roles: frozenset[str]) -> Callable[..., Awaitable[Caller]]:
    """A dependency that lets these roles through. 401, 403 and 429 otherwise; 401 and 403 are journalled."""

    async def allowed(given: Annotated[HTTPAuthorizationCredentials | None, Security(bearer)]) -> Caller:
        return await by_bearer(desk, roles, given)

    return allowed


async def by_bearer(desk: Desk, roles: frozenset[str], given: HTTPAuthorizationCredentials | None) -> Caller:
    """Whoever this token is of. Problem 401, 403, 429."""
    found = None if given is None else await token_of(desk, given.credentials)
    if found is None:
        await desk.lanes.write(desk.refusals.note, desk.ctx, "token_wrong", "api", "unknown")
        raise Problem(401, "token_missing" if given is None else "token_wrong", "a valid bearer token is needed",
                      headers={"WWW-Authenticate": "Bearer"})
    asking = of_token(found)
    await admit(desk, roles, asking, found.id)
    return asking


async def admit(desk: Desk, roles: frozenset[str], asking: Caller, key: str) -> None:
    """Problem 429 when `key` asks too often, 403 when the role may not; the latter is journalled."""
    wait = desk.tokens.take(key, time.monotonic())
    if wait:
        raise Problem(429, "too_many_requests", "this token or session asks too much at once", retry_after=wait)
    if asking.role not in roles:
        await desk.lanes.write(desk.refusals.note, desk.ctx, "role_forbidden", "api", asking.actor)
        raise Problem(403, "role_forbidden", f"a {asking.role} may not do this")


async def token_of(desk: Desk, plain: str) -> Token | None:
    """Whose token this text is; None for anything else."""
    return await desk.lanes.read(_check, desk, plain) if _PLAIN.fullmatch(plain) else None


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


def whose(tx: Tx, own: str | None, asked: str | None) -> str | None:
    """The id of the sender whose rows a list shows, None for all: the one asked for, by id or name, but for a sender's
    own token no other's; then it is one that nobody has."""
    if asked is None:
        return own
    named = senders.get(tx, asked)
    return named.id if named is not None and own in (None, named.id) else ""


def _record(desk: Desk, account: str) -> AccountRecord | None:
    with desk.ctx.store.read() as tx:
        try:
            return accounts.record(tx, account)
        except NotFound:
            return None


