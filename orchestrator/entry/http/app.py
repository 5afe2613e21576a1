"""The web app: every door, put together around one context."""

import logging

from fastapi import FastAPI

from orchestrator.entry.http import (
    accounts,
    acts,
    bookings,
    claims,
    contracts,
    documents,
    health,
    hooks,
    operators,
    outbox,
    problems,
    proofs,
    refusals,
    sign_in,
    sign_in_oidc,
    usage,
)
from orchestrator.entry.http.desk import Limits, desk
from orchestrator.entry.http.intake import HideClaims, Outermost
from orchestrator.entry.http.lanes import give_way
from orchestrator.entry.http.meters import Meters
from orchestrator.flows.context import Context

DESCRIPTION = """Tenure turns a redeemed computing-power voucher into a time-boxed compute account.
Voucher platforms sign what they send (Standard Webhooks); people and programs of the operator use bearer tokens.
Every refusal is `application/problem+json` with a stable `code`."""


def create_app(ctx: Context, limits: Limits | None = None) -> FastAPI:
    """The doors of one Tenure. Serve it with any ASGI server; `limits` is for tests and for sites of another size."""
    give_way()
    app = FastAPI(title="Tenure", version="1", description=DESCRIPTION, docs_url=None, redoc_url=None,
                  openapi_url="/openapi.json", redirect_slashes=False)
    shared, meters = desk(ctx, limits or Limits()), Meters()
    for room in (hooks, accounts, acts, bookings, proofs, claims, contracts, sign_in, sign_in_oidc,
                 operators, usage, outbox):
        app.include_router(room.routes(shared))
    app.include_router(health.routes(shared, meters))
    problems.install(app)
    refusals.install(app)
    documents.install(app)
    app.add_middleware(Outermost, meters=meters)
    server_log = logging.getLogger("uvicorn.access")
    if not any(isinstance(one, HideClaims) for one in server_log.filters):
        server_log.addFilter(HideClaims())
    return app
