"""Bookings: the calendar of places, and moving or cancelling what is yet to begin. A sender sees and touches its own
bookings only; what places there are, and who else has them, is the operators' to know."""

from dataclasses import asdict
from datetime import date, datetime
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from orchestrator.entry.http.accounts import AccountPath
from orchestrator.entry.http.auth import OPERATORS, READERS, Caller, caller, visible
from orchestrator.entry.http.bodies import parse
from orchestrator.entry.http.desk import Desk
from orchestrator.entry.http.documents import accepts, refusals
from orchestrator.entry.http.intake import RawBody
from orchestrator.entry.http.names import ACCOUNT, PLAIN
from orchestrator.entry.http.payloads import MoveIn, WhyIn
from orchestrator.entry.http.shapes import AccountOut, account_out
from orchestrator.flows.vouchers import booking
from orchestrator.lifecycle import times
from orchestrator.store import accounts, calendar
from orchestrator.store.accounts import AccountRecord, Filter

BOOKERS = OPERATORS | {"sender"}
MOST = 1000
_REFUSALS = refusals(400, 401, 403, 404, 409, 413, 422, 429, 503)


class DayOut(BaseModel):
    """One day's places of an offer at a site, at the day's fullest moment."""

    site: str
    offer: str
    day: date
    at: datetime = Field(description="the day's fullest moment")
    places: int
    taken: int = Field(description="by accounts whose time has come")
    booked: int = Field(description="by accounts that are yet to begin")
    free: int = Field(description="for the whole day")
    coming: int = Field(description="applied, and not yet online at the day's fullest moment")


class BookingOut(BaseModel):
    """One account that is yet to begin."""

    account: str
    site: str
    offer: str
    begins_at: datetime
    redemption: str


class CalendarOut(BaseModel):
    """`days` is empty for a sender."""

    days: list[DayOut]
    bookings: list[BookingOut]
    next: str | None = Field(description="where there are more bookings: `after` of the page behind this one")


class Wanted(BaseModel):
    """Which part of the calendar."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    site: Annotated[str | None, Query(pattern=PLAIN)] = None
    offer: Annotated[str | None, Query(pattern=PLAIN)] = None
    from_: date | None = Field(default=None, alias="from", description="the first day; left out: today")
    days: Annotated[int, Query(ge=1, le=93)] = 14
    after: Annotated[str | None, Query(pattern=ACCOUNT)] = None


def routes(desk: Desk) -> APIRouter:
    """The calendar, and the two actions on a booking."""
    router = APIRouter(prefix="/v1", tags=["bookings"])
    reading, acting = Depends(caller(desk, READERS)), Depends(caller(desk, BOOKERS))

    @router.get("/calendar", response_model=CalendarOut, operation_id="readCalendar",
                summary="Places by day, and bookings", responses=refusals(400, 401, 403, 429, 503))
    async def read(wanted: Annotated[Wanted, Query()], by: Annotated[Caller, reading]) -> Response:
        found = await desk.lanes.read(_calendar, desk, wanted, by.sender)
        return JSONResponse(found.model_dump(mode="json"))

    @router.post("/accounts/{account}/cancel", response_model=AccountOut, operation_id="cancel",
                 summary="Cancel a booking before it begins", responses=_REFUSALS, openapi_extra=accepts(WhyIn))
    async def cancel(account: AccountPath, raw: RawBody, by: Annotated[Caller, acting]) -> Response:
        want, record = parse(WhyIn, raw), await visible(desk, by, account)
        await desk.lanes.write(partial(booking.cancel, desk.ctx, record.id, actor=by.actor, why=want.why))
        return await answer(by, account)

    @router.post("/accounts/{account}/move", response_model=AccountOut, operation_id="move",
                 summary="Let a booking begin at another time", responses=_REFUSALS, openapi_extra=accepts(MoveIn))
    async def move(account: AccountPath, raw: RawBody, by: Annotated[Caller, acting]) -> Response:
        want, record = parse(MoveIn, raw), await visible(desk, by, account)
        await desk.lanes.write(partial(booking.move, desk.ctx, record.id, want.begins_at, actor=by.actor,
                                       why=want.why))
        return await answer(by, account)

    async def answer(by: Caller, account: str) -> Response:
        record = await visible(desk, by, account)
        return JSONResponse(account_out(record, to_sender=by.sender is not None).model_dump(mode="json"))

    return router


def _calendar(desk: Desk, wanted: Wanted, own: str | None) -> CalendarOut:
    now, where = desk.ctx.clock(), times.zone(desk.ctx.settings.timezone)
    first = wanted.from_ or now.astimezone(where).date()
    which = Filter(site=wanted.site, sender=own, beginning_after=now)
    with desk.ctx.store.read() as tx:
        offers = [] if own is not None else calendar.days(tx, first, wanted.days, now, where, wanted.site,
                                                          wanted.offer)
        found = accounts.select(tx, which, MOST + 1, wanted.after)
    shown = [record for record in found[:MOST] if wanted.offer in (None, record.account.offer.name)]
    days = [DayOut(**asdict(day)) for one in offers for day in one.days]
    return CalendarOut(days=days, bookings=[_booking(record) for record in shown],
                       next=found[MOST - 1].id if len(found) > MOST else None)


def _booking(record: AccountRecord) -> BookingOut:
    account = record.account
    assert account.begins_at is not None
    return BookingOut(account=account.id, site=account.site, offer=account.offer.name, begins_at=account.begins_at,
                      redemption=account.redemption)
