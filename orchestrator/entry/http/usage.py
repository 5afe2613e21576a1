"""The operators' API: what an account has used, hour by hour, with what nobody measured."""

from datetime import datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from orchestrator.entry.http.accounts import AccountPath
from orchestrator.entry.http.auth import READERS, Caller, caller, visible
from orchestrator.entry.http.desk import Desk
from orchestrator.entry.http.documents import refusals
from orchestrator.entry.http.payloads import Instant
from orchestrator.flows.usage import used
from orchestrator.lifecycle import usage as rules
from orchestrator.lifecycle.errors import RuleError

LONGEST = timedelta(days=31)


class Period(BaseModel):
    """Which hours are shown: the last 31 days when nothing is said."""

    model_config = ConfigDict(extra="forbid")

    since: Instant | None = None
    until: Instant | None = None


class HourOut(BaseModel):
    """One meter in one clock hour."""

    meter: str = Field(examples=["cpu", "memory", "storage", "egress", "chip:ascend-910b"])
    hour: datetime
    since: datetime
    until: datetime
    amount: int | None = Field(description="in the meter's unit; null: nobody measured any of it")
    covered_seconds: float
    gap_seconds: float


class UsageOut(BaseModel):
    """One account's use."""

    account: str
    read_until: datetime | None = Field(description="how far the site has been asked")
    units: dict[str, str]
    hours: list[HourOut]


def routes(desk: Desk) -> APIRouter:
    """One account's use."""
    router = APIRouter(prefix="/v1/accounts", tags=["accounts"])

    @router.get("/{account}/usage", response_model=UsageOut, operation_id="readUsage",
                summary="What an account has used, by clock hour", responses=refusals(400, 401, 403, 404, 429, 503))
    async def usage(account: AccountPath, period: Annotated[Period, Query()],
                    by: Annotated[Caller, Depends(caller(desk, READERS))]) -> Response:
        record = await visible(desk, by, account)
        since, until = _within(period, desk.ctx.clock())
        found = await desk.lanes.read(used.of, desk.ctx, record.id, since, until)
        hours = [HourOut(meter=one.meter, hour=one.hour, since=one.since, until=one.until, amount=one.amount,
                         covered_seconds=one.covered.total_seconds(), gap_seconds=one.missing.total_seconds())
                 for one in found.hours]
        out = UsageOut(account=record.id, read_until=found.read_until, hours=hours,
                       units={one.meter: rules.unit(one.meter) for one in hours})
        return JSONResponse(out.model_dump(mode="json"))

    return router


def _within(period: Period, now: datetime) -> tuple[datetime, datetime]:
    """RuleError `bad_period` for more than a month at once."""
    until = period.until or max(now, period.since or now)
    since = period.since or until - LONGEST
    if not timedelta() <= until - since <= LONGEST:
        raise RuleError("bad_period", f"from {since.isoformat()} to {until.isoformat()}: give at most "
                                      f"{LONGEST.days} days, since before until")
    return since, until
