"""The operators' door in a browser: one page of how things stand. Looking changes nothing."""

import time
from typing import Annotated

import anyio
from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import HTMLResponse, Response

from orchestrator.entry.http import operators_page
from orchestrator.entry.http.auth import VIEWERS, Caller
from orchestrator.entry.http.desk import Desk
from orchestrator.entry.http.operators_page import Visitor
from orchestrator.entry.http.pages import spoken
from orchestrator.entry.http.session import visitor
from orchestrator.flows.overview.model import Overview, overview
from orchestrator.lifecycle import times

FRESH = 2.0
"""Seconds for which one look serves everybody: however many watch, the database is asked once."""
Lang = Annotated[str | None, Query(max_length=8)]


class Looks:
    """The last look at the store."""

    def __init__(self, desk: Desk) -> None:
        self._desk, self._lock = desk, anyio.Lock()
        self._seen: Overview | None = None
        self._at = 0.0

    async def look(self) -> Overview:
        """It, or a new one when it has grown old."""
        async with self._lock:
            if self._seen is None or time.monotonic() - self._at > FRESH:
                self._seen = await self._desk.lanes.read(overview, self._desk.ctx)
                self._at = time.monotonic()
            return self._seen


def routes(desk: Desk) -> APIRouter:
    """The page at `/`."""
    router = APIRouter(include_in_schema=False)
    looks = Looks(desk)
    By = Annotated[Caller, Depends(visitor(desk, VIEWERS))]

    @router.get("/")
    async def show(request: Request, by: By, lang: Lang = None, pause: str = "") -> Response:
        page = operators_page.render(
            await looks.look(), spoken(request, lang), times.zone(desk.ctx.settings.timezone),
            Visitor(by.actor, by.role, by.form_key), paused=bool(pause))
        return HTMLResponse(page, headers=dict(operators_page.PAGES.headers))

    return router
