"""A programme for people: the fields that its benefit has, in the words of its file."""

from decimal import Decimal
from typing import Any

from orchestrator.entry.cli import output
from orchestrator.lifecycle import times
from orchestrator.lifecycle.booking import MOST_AHEAD
from orchestrator.lifecycle.holder import HolderKind
from orchestrator.lifecycle.periods import Period
from orchestrator.lifecycle.programme import Benefit, Limit, Programme, Where


def fields(of: Programme) -> dict[str, Any]:
    """Its fields by the names that files use; what says nothing is left out."""
    holders = () if set(of.holders) == set(HolderKind) else of.holders
    found: dict[str, Any] = {
        "programme": of.name, "title": f"{of.title_zh} / {of.title_en}", "benefit": of.benefit, **_gives(of),
        "holders": holders or "anybody", "categories": of.categories, "priority": of.priority,
        "city": of.city and of.city + ("" if of.where is Where.ANY else f", holders {of.where.value}"),
        "first_use": of.first_use, "attestations": of.attestations, "pool": _limit(of, of.pool),
        "cap": _limit(of, of.cap), "from": of.starts, "until": of.ends}
    return {name: value for name, value in found.items() if value not in (None, "", (), False)}


def _gives(of: Programme) -> dict[str, Any]:
    """What only this benefit has."""
    if of.benefit is Benefit.SUBSIDY:
        return {"share": f"{_number(of.share * 100)}%"}
    worth = of.show(of.least) + ("" if of.least == of.most else f" to {of.show(of.most)}")
    found = {"yuan" if of.benefit is Benefit.CASH else "hours": worth, "valid_for": of.valid_for}
    if of.benefit is Benefit.CASH:
        return found
    return {"offer": of.offer, "resource": of.resource, **found, "clock": _clock(of),
            "book_ahead": None if of.book_ahead == MOST_AHEAD else times.show_span(of.book_ahead),
            "offered_weekly": of.offered_weekly and of.show(of.offered_weekly), "use_within": of.use_within,
            "warn_before": of.warn_before, "grace": of.grace,
            "outage_credit": times.show_span(of.outage_credit) if of.outage_credit else None}


def _clock(of: Programme) -> str:
    if of.claim_within is not None:
        return f"claim within {times.show_span(of.claim_within)}"
    if of.begins_at is not None:
        return f"begins at {output.shown(of.begins_at)}"
    return "scheduled" if of.scheduled else "ready"


def _limit(of: Programme, limit: Limit) -> str:
    parts = [of.show(limit.amount)] if limit.amount is not None else []
    if limit.vouchers is not None:
        parts.append(output.count(limit.vouchers, "subsidy" if of.benefit is Benefit.SUBSIDY else "voucher"))
    if not parts:
        return "no limit"
    return ", ".join(parts) + (" in all" if limit.per is Period.EVER else f" a {limit.per.value}")


def _number(amount: Decimal) -> str:
    return f"{amount.normalize():f}"
