"""The document of a contract, in Chinese and English, as one page of HTML that prints on A4."""

from datetime import datetime, tzinfo
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import jinja2

from orchestrator.lifecycle import money, price
from orchestrator.lifecycle.holder import Holder
from orchestrator.lifecycle.offer import Offer
from orchestrator.lifecycle.paper import Paper
from orchestrator.lifecycle.sizes import show_rate, show_size

_RESOURCES = {"cpu": "CPU（核 cores）", "memory": "内存 Memory（GiB）", "storage": "存储 Storage（GiB）"}
FOLDER = Path(__file__).resolve().parents[3] / "templates" / "contracts"


@cache
def pages() -> jinja2.Environment:
    """The templates of contracts; an undefined name is an error."""
    return jinja2.Environment(loader=jinja2.FileSystemLoader(FOLDER), undefined=jinja2.StrictUndefined,
                              autoescape=True, trim_blocks=True, lstrip_blocks=True)


def render(paper: Paper, holder: Holder, offer: Offer, site: str, where: tzinfo) -> bytes:
    """The document: what is signed is exactly these bytes."""
    page = pages().get_template("contract.html.j2").render(
        paper=paper, holder=holder, offer=offer, site=site, terms=shown(paper.terms), memory=show_size(offer.memory),
        storage=show_size(offer.storage), rate=show_rate(offer.rate), egress=show_size(offer.egress),
        cores=f"{offer.cpu_milli / 1000:g}", begins=date_of(datetime.fromisoformat(paper.terms["begins_at"]), where),
        ends=None if paper.open else date_of(paper.ends_at, where), zone=str(where),
        style=(FOLDER / "contract.css").read_text("utf-8"))
    return page.encode()


def shown(terms: dict[str, Any]) -> dict[str, Any]:
    """The price as people read it: units and the price of an hour, which are not rounded to the fen, with the places
    that they need, so that a line can be worked out again."""
    is_open = "hourly" in terms
    base, due = (Decimal(terms[name]) for name in (("hourly_base", "hourly") if is_open else ("base", "price")))
    of_class, of_term, of_floor = price.steps(base, due, Decimal(terms["class_discount"]),
                                              Decimal(terms["long_discount"]), money.short if is_open else money.to_fen)
    return {
        **terms, "open": is_open, "hours": None if is_open else figure(terms["hours"]),
        "base": figure(base), "price": figure(due),
        "class_discount": _percent(terms["class_discount"]), "class_amount": figure(of_class),
        "long_discount": _percent(terms["long_discount"]), "long_amount": figure(of_term),
        "floored": bool(of_floor), "floor_amount": figure(of_floor),
        "metered": any(line.get("metered") for line in terms["lines"]),
        "lines": [{"resource": resource_name(line["resource"]), "units": figure(line["units"], 0),
                   "per_hour": figure(line["per_hour"]), "metered": line.get("metered", False),
                   "amount": figure(line["amount"])} for line in terms["lines"]]}


def resource_name(resource: str) -> str:
    """What papers call a resource, with its unit; a chip by its own name."""
    return _RESOURCES.get(resource, resource)


def figure(value: str | Decimal, least: int = 2) -> str:
    """As papers print what is not rounded to the fen: with separators, and the places that it needs."""
    return f"{money.short(Decimal(value), least):,f}"


def _percent(share: str) -> str:
    return f"{(Decimal(share) * 100).normalize():f} %"


def date_of(at: datetime, where: tzinfo) -> str:
    """Civil time as papers write it."""
    return f"{at.astimezone(where):%Y-%m-%d %H:%M}"
