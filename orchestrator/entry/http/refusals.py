"""How the errors of the rooms inside look at a door: one table from code or class to status."""

import logging

from fastapi import FastAPI, Request
from fastapi.responses import Response

from orchestrator.entry.http.problems import Problem
from orchestrator.flows.vouchers.booking import NoPlace
from orchestrator.lifecycle.errors import RuleError
from orchestrator.store.errors import Busy, Conflict, KeyTaken, NotFound, StoreBusy, StoreFull
from providers.protocol import NeedsHuman, Refused, SiteError, Stale, TryLater

log = logging.getLogger("tenure.http")

_STATUS = {
    "not_found": 404, "event_reused": 409, "no_capacity": 503, "offer_unknown": 422, "offer_mismatch": 422,
    "offer_missing": 422, "voucher_unknown": 422, "voucher_void": 422, "voucher_expired": 422,
    "voucher_not_yet_valid": 422, "voucher_used": 409, "key_taken": 409, "not_ready": 409,
} | dict.fromkeys((
    "programme_unknown", "programme_differs", "programme_not_yet", "programme_over", "worth_missing",
    "worth_out_of_range", "holder_kind", "holder_category", "holder_city", "attestation_missing", "entity_missing",
    "not_first_use", "not_the_winner", "cap_reached", "pool_empty", "contract_needed", "no_account_made",
    "resource_missing", "begin_missing", "begin_fixed", "no_price", "not_your_contract", "holder_changed",
), 422)
_RETRY = {"no_capacity": 60, "not_ready": 2}


def problem_of(error: Exception) -> Problem:
    """The refusal that this error is. Errors that are nobody's refusal are not handled here."""
    match error:
        case RuleError():
            return _ruled(error)
        case KeyTaken():
            return Problem(409, "key_taken", "this account was already claimed with another key")
        case Busy():
            return Problem(409, "busy_account", str(error), retry_after=2)
        case NotFound():
            return Problem(404, "not_found", str(error))
        case Conflict():
            return Problem(409, "conflict", "the account was changed meanwhile; read it and decide again")
        case StoreFull():
            return Problem(503, "store_full", "the database cannot write; nothing was done", retry_after=30)
        case StoreBusy():
            return Problem(503, "store_busy", "the database is busy or away; nothing was done", retry_after=2)
        case TryLater():
            after = max(1, round(error.after.total_seconds()))
            return Problem(503, "site_later", "the site does not answer just now; try again", retry_after=after)
        case NeedsHuman():
            return Problem(503, "site_needs_operator", "the site needs its operator first", retry_after=300)
        case Stale():
            return Problem(409, "conflict", "somebody else has acted on the account meanwhile; read it again")
        case Refused():
            return Problem(409, "site_refused", str(error))
        case _:
            return Problem(503, "site_later", "the site could not be asked; try again", retry_after=5)


def _ruled(error: RuleError) -> Problem:
    if isinstance(error, NoPlace) and error.begins_at is not None:
        # Another try at the same time helps only who wants to begin now.
        return Problem(409, error.code, str(error), nearest=error.nearest)
    status = _STATUS.get(error.code, 400 if error.code.startswith("bad_") else 409)
    return Problem(status, error.code, str(error), retry_after=_RETRY.get(error.code),
                   nearest=error.nearest if isinstance(error, NoPlace) else ())


def install(app: FastAPI) -> None:
    """Answer these errors as problems."""

    def answer(request: Request, error: Exception) -> Response:
        found = problem_of(error)
        if found.status == 503:
            log.warning("%s: %s", type(error).__name__, error)
        return found.answer()

    for kind in (RuleError, StoreBusy, Conflict, NotFound, SiteError):
        app.add_exception_handler(kind, answer)
