"""What comes before every door: bodies of bounded size, logs without secrets, headers that every answer carries."""

import logging
import re
import time
from typing import Annotated

from fastapi import Depends, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from orchestrator.entry.http.meters import Meters
from orchestrator.entry.http.problems import Problem

MAX_BODY = 64 * 1024
log = logging.getLogger("tenure.access")

_CLAIM_PATH = re.compile(r"/(claim|contract)/[^/?\s\"]+")
_QUERY = re.compile(r"\?[^\s\"]*")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


async def read_body(request: Request) -> bytes:
    """The raw body, 64 KiB at most: one byte more is 413 and is not read further."""
    length = request.headers.get("content-length", "0")
    if length.isdecimal() and int(length[:12]) > MAX_BODY:
        raise _too_large()
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY:
            raise _too_large()
    return bytes(body)


def _too_large() -> Problem:
    return Problem(413, "body_too_large", f"the body is larger than {MAX_BODY} bytes", headers={"Connection": "close"})


RawBody = Annotated[bytes, Depends(read_body)]


def hide(path: str) -> str:
    """A path without what opens an account (claim tokens, queries) and without what would forge a line of a log."""
    return _CONTROL.sub("?", _QUERY.sub("", _CLAIM_PATH.sub(r"/\1/…", path)))


class HideClaims(logging.Filter):
    """For the server's own access log, should somebody turn it on."""

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            record.args = tuple(hide(arg) if isinstance(arg, str) else arg for arg in record.args)
        return True


class Outermost:
    """ASGI: one access line for each request, security headers on each answer."""

    def __init__(self, app: ASGIApp, meters: Meters) -> None:
        self._app, self._meters = app, meters

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = time.perf_counter(), 0

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = list(message.get("headers", []))
                known = {name.lower() for name, _ in headers}
                headers += [(name, value) for name, value in _ALWAYS if name not in known]
                message = {**message, "headers": headers}
            await send(message)

        try:
            await self._app(scope, receive, sending)
        finally:
            took = time.perf_counter() - began
            self._meters.answered(scope["method"], getattr(scope.get("route"), "path", "none"), status, took)
            if log.isEnabledFor(logging.DEBUG):
                log.debug("%s %s %d %.1f ms", hide(scope["method"]), hide(scope["path"]), status, took * 1000)


_ALWAYS = [(b"x-content-type-options", b"nosniff"), (b"referrer-policy", b"no-referrer"),
           (b"cache-control", b"no-store")]
