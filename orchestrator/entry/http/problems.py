"""Errors as doors show them: application/problem+json (RFC 9457) with a stable `code`."""

import logging
from collections.abc import Sequence
from datetime import datetime
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, Field, ValidationError
from starlette.exceptions import HTTPException

from orchestrator.entry.http.payloads import plainly

log = logging.getLogger("tenure.http")

MEDIA_TYPE = "application/problem+json"


class ProblemBody(BaseModel):
    """What every refusal looks like."""

    type: str = Field(description="`urn:tenure:problem:` and the code")
    title: str = Field(description="the status in words")
    status: int
    detail: str = Field(description="what happened, to what, what to do")
    code: str = Field(description="stable and machine-readable")
    errors: list[dict[str, str]] | None = Field(default=None, description="where the body is wrong")
    nearest: list[datetime] | None = Field(default=None, description="of `no_capacity`: beginnings that have a place")


class Problem(Exception):
    """A refusal on its way out of a door."""

    def __init__(self, status: int, code: str, detail: str, *, retry_after: int | None = None,
                 errors: list[dict[str, str]] | None = None, headers: dict[str, str] | None = None,
                 nearest: Sequence[datetime] = ()) -> None:
        super().__init__(detail)
        self.nearest = nearest
        self.status, self.code, self.detail, self.errors = status, code, detail, errors
        self.headers = dict(headers or {})
        if retry_after is not None:
            self.headers["Retry-After"] = str(max(1, retry_after))

    def answer(self) -> Response:
        """The response that says so."""
        body: dict[str, Any] = {"type": f"urn:tenure:problem:{self.code}", "title": HTTPStatus(self.status).phrase,
                                "status": self.status, "detail": self.detail, "code": self.code}
        if self.errors:
            body["errors"] = self.errors
        if self.nearest:
            body["nearest"] = [at.isoformat() for at in self.nearest]
        return JSONResponse(body, self.status, {"Cache-Control": "no-store", **self.headers}, MEDIA_TYPE)


def from_validation(error: ValidationError) -> Problem:
    """Where a body is wrong, without repeating what it said: it may hold a voucher code."""
    found = [{"field": ".".join(str(step) for step in one["loc"]) or "body", "problem": plainly(one["msg"])}
             for one in error.errors(include_url=False, include_input=False, include_context=False)][:10]
    first = found[0]
    return Problem(400, "bad_body", f"{first['field']}: {first['problem']}", errors=found)


def _validation(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    found = [{"field": ".".join(str(step) for step in one["loc"]), "problem": plainly(str(one["msg"]))}
             for one in error.errors()][:10]
    return Problem(400, "bad_request", f"{found[0]['field']}: {found[0]['problem']}", errors=found).answer()


def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code, "http_error")
    return Problem(error.status_code, code, str(error.detail), headers=dict(error.headers or {})).answer()


def _problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)
    return error.answer()


def _unexpected(request: Request, error: Exception) -> Response:
    return Problem(500, "internal", "Something went wrong inside Tenure; it is in the server's log.").answer()


def install(app: FastAPI) -> None:
    """Make every error of the app a problem."""
    app.add_exception_handler(Problem, _problem)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _validation)
    app.add_exception_handler(Exception, _unexpected)
