"""Programmes and price lists as operators write them in YAML, checked field by field."""

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from yaml.nodes import MappingNode, Node

from orchestrator.flows.documents.fields import Fields, items, many, raw, table, text, whole
from orchestrator.flows.documents.values import instant, matching, name, one_of, span
from orchestrator.lifecycle import money
from orchestrator.lifecycle.booking import MOST_AHEAD
from orchestrator.lifecycle.errors import RuleError
from orchestrator.lifecycle.holder import HolderKind
from orchestrator.lifecycle.offer import MAX_DURATION
from orchestrator.lifecycle.periods import Period
from orchestrator.lifecycle.price import CLASSES, Prices
from orchestrator.lifecycle.programme import Benefit, Limit, Programme, Where

_CATEGORY = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_PERCENT = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,2})?) ?%")
_HOURS = re.compile(r"[0-9]{1,9}(\.[0-9]{1,2})?")
_LONGEST = timedelta(days=3660)
_words = many(matching(_CATEGORY, "a word of small letters, digits and -"))


def programme_of(fields: Fields, now: datetime) -> Programme | None:
    """One member of `programmes:`; None when something in it is wrong."""
    called = fields.need("name", name)
    benefit = fields.need("benefit", one_of(list(Benefit)))
    title, city = fields.inner("title"), fields.inner("city")
    if not fields.sound:
        return None
    values: dict[str, Any] = {
        "name": called, "benefit": Benefit(benefit),
        "title_zh": title.need("zh", text) if title else called,
        "title_en": title.need("en", text) if title else called,
        "holders": fields.take("holders", many(_kind), tuple(HolderKind)),
        "categories": fields.take("categories", _words, ()), "priority": fields.take("priority", _words, ()),
        "city": city.need("name", matching(_CATEGORY, "a city's name in small letters")) if city else "",
        "where": Where(city.take("holders", one_of(list(Where)), Where.ANY)) if city else Where.ANY,
        "first_use": fields.take("first_use", _yes_or_no, False),
        "attestations": fields.take("attestations", _words, ()),
        "starts": fields.take("from", instant(now), None), "ends": fields.take("until", instant(now), None),
        "valid_for": fields.take("valid_for", span(1, _LONGEST), timedelta(days=30)),
        "warn_before": fields.take("warn_before", many(span(1, MAX_DURATION)), None),
        "grace": fields.take("grace", span(0, MAX_DURATION), None),
        "book_ahead": fields.take("book_ahead", span(0, MOST_AHEAD), MOST_AHEAD),
    }
    values |= _gives(fields, values["benefit"]) | _clock(fields, now)
    if values["benefit"] in (Benefit.TRIAL, Benefit.IN_KIND):
        values["outage_credit"] = fields.take("outage_credit", span(0, MAX_DURATION), timedelta())
    unit, read = ("yuan", _yuan) if values["benefit"] in (Benefit.CASH, Benefit.SUBSIDY) else ("hours", _hours)
    values |= {limit: _limit(fields, limit, unit, read) for limit in ("pool", "cap")}
    if not fields.close(title, city):
        return None
    return Programme(**values)


def _gives(fields: Fields, benefit: Benefit) -> dict[str, Any]:
    """What a voucher gives; each benefit has its own fields."""
    match benefit:
        case Benefit.SUBSIDY:
            return {"share": fields.need("share", _percent)}
        case Benefit.CASH:
            return _range(fields, "yuan", _yuan)
        case Benefit.IN_KIND:
            return {"offer": fields.need("offer", name), "resource": fields.need("resource", text),
                    **_range(fields, "hours", _hours),
                    "use_within": fields.take("use_within", span(1, MAX_DURATION), None)}
        case _:
            return {"offer": fields.need("offer", name), **_range(fields, "hours", _whole_hours),
                    "offered_weekly": fields.take("offered_weekly", _hours, None)}


def _range(fields: Fields, called: str, read: Callable[[Node], Decimal]) -> dict[str, Any]:
    """`hours: 24`, or `hours: {from: 24, to: 96}`."""
    if not isinstance(fields.line(called), MappingNode) or not fields.has(called):
        only = fields.need(called, read)
        return {"least": only, "most": only}
    inner = fields.inner(called)
    assert inner is not None
    least, most = inner.need("from", read), inner.need("to", read)
    if not inner.close():
        fields.sound = False
    elif least > most:
        fields.wrong(fields.line(called), called, f"`from` {least} is more than `to` {most}")
    return {"least": least, "most": most}


def _clock(fields: Fields, now: datetime) -> dict[str, Any]:
    """`clock: ready` (the default), `scheduled`, `{claim_within: 7d}` or `{begins_at: "2027-03-08 09:00"}`."""
    if not isinstance(fields.line("clock"), MappingNode) or not fields.has("clock"):
        return {"scheduled": fields.take("clock", one_of(["ready", "scheduled"]), "ready") == "scheduled"}
    inner = fields.inner("clock")
    assert inner is not None
    found = {"claim_within": inner.take("claim_within", span(1, MAX_DURATION), None),
             "begins_at": inner.take("begins_at", _beginning(now), None)}
    fields.sound = inner.close() and fields.sound
    if inner.sound and len([value for value in found.values() if value is not None]) != 1:
        fields.wrong(fields.line("clock"), "clock", "give either `claim_within` or `begins_at`")
    return found


def _beginning(now: datetime) -> Callable[[Node], datetime]:
    def read(node: Node) -> datetime:
        at = instant(now)(node)
        if at > now + _LONGEST:
            raise RuleError("bad_field", f"{raw(node)} is more than {_LONGEST.days} days ahead")
        return at
    return read


def _limit(fields: Fields, called: str, unit: str, read: Callable[[Node], Decimal]) -> Limit:
    inner = fields.inner(called)
    if inner is None:
        return Limit(Period.EVER)
    per = inner.take("per", one_of(list(Period)), Period.EVER)
    limit = Limit(Period(per), inner.take(unit, read, None), inner.take("vouchers", whole(0, 10**9), None))
    if limit.amount is None and limit.vouchers is None:
        inner.wrong(inner.node, "", f"limits nothing: give `{unit}` or `vouchers`")
    fields.sound = inner.close() and fields.sound
    return limit


def prices_of(fields: Fields) -> Prices | None:
    """One member of `prices:`; None when something in it is wrong."""
    base = fields.inner("base")
    if base is None:
        fields.wrong(fields.node, "base", "is missing (write `base: {cpu: 0.30, chips: {ascend-910b: 12.00}}`)")
        return None
    called = fields.need("name", name)
    found = {what: base.take(what, _yuan, money.ZERO) for what in ("cpu", "memory", "storage")}
    chips = base.take("chips", table(_yuan), {})
    classes = fields.need("classes", table(_percent))
    long_term = tuple(_term(Fields(fields.source, node, path)) for node, path in
                      items(fields.source, fields.node_of("long_term"), fields.at("long_term")))
    metered = fields.take("metered", many(text), ())
    fields.close(base)
    # Where a price in `base` is wrong itself, nobody can say what has one.
    for unknown in sorted(set(metered) - {*found, *chips}) if base.sound else ():
        fields.wrong(fields.line("metered"), "metered", f"{unknown} has no price in `base`")
    for strange in sorted(set(classes or ()) - set(CLASSES)):
        fields.wrong(fields.line("classes"), "classes", f"{strange} is not one of {', '.join(CLASSES)}")
    terms = tuple(term for term in long_term if term is not None)
    if not fields.sound or len(terms) != len(long_term):
        return None
    return Prices(called, chips=chips, classes=classes, long_term=terms, metered=metered, **found)


def _term(fields: Fields) -> tuple[timedelta, Decimal] | None:
    least, discount = fields.need("from", span(1, _LONGEST)), fields.need("discount", _percent)
    return (least, discount) if fields.close() else None


def _kind(node: Node) -> HolderKind:
    return HolderKind(one_of(list(HolderKind))(node))


def _yuan(node: Node) -> Decimal:
    return money.yuan(raw(node))


def _hours(node: Node) -> Decimal:
    if not _HOURS.fullmatch(raw(node)) or not Decimal(raw(node)):
        raise RuleError("bad_field", f"{raw(node)!r} is not a number of hours with at most two places")
    return Decimal(raw(node))


def _whole_hours(node: Node) -> Decimal:
    return Decimal(whole(1, 366 * 24)(node))


def _percent(node: Node) -> Decimal:
    match = _PERCENT.fullmatch(raw(node))
    if match is None or Decimal(match[1]) > 100:
        raise RuleError("bad_field", f"{raw(node)!r} is not a share between 0% and 100%")
    return Decimal(match[1]) / 100


def _yes_or_no(node: Node) -> bool:
    if raw(node) not in ("true", "false"):
        raise RuleError("bad_field", f"{raw(node)!r} is neither true nor false")
    return raw(node) == "true"
