"""Whether Tenure is alive, whether it is ready, and how things stand (Prometheus)."""

import time
from datetime import timedelta

from fastapi import APIRouter
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from prometheus_client import generate_latest
from pydantic import BaseModel

from orchestrator.entry.http.desk import Desk
from orchestrator.entry.http.documents import refusals
from orchestrator.entry.http.meters import Meters
from orchestrator.entry.http.problems import Problem
from orchestrator.store.errors import StoreError
from orchestrator.store.gauges import Gauges, due_lags, gauges

FRESH = 2.0
"""Seconds for which the numbers are kept: however many ask, the database is asked once."""
LATE = timedelta(seconds=60)
"""Work that waits for so long means that no worker runs, or too few."""
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Health(BaseModel):
    """What was found."""

    status: str


def routes(desk: Desk, meters: Meters) -> APIRouter:
    """The four doors."""
    router = APIRouter(tags=["health"])

    @router.get("/healthz", operation_id="health", summary="The process answers", response_model=Health)
    async def healthz() -> Health:
        return Health(status="ok")

    @router.get("/readyz", operation_id="ready", summary="The doors can do their work: the database answers",
                response_model=Health, responses=refusals(503))
    async def readyz() -> Response:
        # Work that waits is no reason to turn redemptions away: whoever balances load asks here, alarms ask /workz.
        await desk.lanes.read(_late, desk)
        return JSONResponse({"status": "ready"})

    @router.get("/workz", operation_id="work", summary="Owed work is taken up in time", response_model=Health,
                responses=refusals(503))
    async def workz() -> Response:
        late = await desk.lanes.read(_late, desk)
        if late:
            raise Problem(503, "work_waits", f"owed work waits: {', '.join(late)}; see that workers run and keep up",
                          retry_after=10)
        return JSONResponse({"status": "kept up"})

    @router.get("/metrics", operation_id="metrics", summary="Prometheus metrics", response_class=PlainTextResponse,
                responses=refusals(503))
    async def metrics() -> Response:
        if time.monotonic() - meters.state.read_at > FRESH:
            meters.state.now = await desk.lanes.read(_gauges, desk)
            meters.state.read_at = time.monotonic()
        return Response(generate_latest(meters.registry), media_type=CONTENT_TYPE)

    return router


def _gauges(desk: Desk) -> Gauges:
    with desk.ctx.store.read() as tx:
        return gauges(tx, desk.ctx.clock())


def _late(desk: Desk) -> list[str]:
    try:
        with desk.ctx.store.read() as tx:
            lags = due_lags(tx, desk.ctx.clock())
    except StoreError as error:
        raise Problem(503, "store_busy", "the database does not answer", retry_after=2) from error
    return [f"{owed} ({lag.total_seconds():.0f} s late)" for owed, lag in sorted(lags.items()) if lag > LATE]
