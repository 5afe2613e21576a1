"""A bill on paper: one page of HTML in Chinese and English that prints on A4, and CSV for whoever books it."""

import csv
import io
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, tzinfo
from decimal import Decimal
from typing import Any

from orchestrator.flows.cells import safe
from orchestrator.flows.money.contract_paper import FOLDER, date_of, figure, pages, resource_name
from orchestrator.lifecycle.bill import Bill, Line, Part, Rule
from orchestrator.lifecycle.holder import Holder

COLUMNS = ("account", "month", "contract", "rule", "what", "figure", "quantity", "per_hour", "measured", "amount",
           "rows")


def csv_of(bill: Bill) -> str:
    """A row for each line, whose amounts come to what is to pay; outages, gaps, and contracts without a
    price, as rows that cost nothing."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for line in bill.lines:
        writer.writerow([bill.account, bill.month, safe(line.contract), line.rule.value, safe(line.what),
                         safe(line.figure), _plain(line.quantity), _plain(line.per_hour), _plain(line.measured),
                         f"{line.amount:.2f}", safe(" ".join(line.rows))])
    for part in bill.parts:
        for rule, what, quantity, rows in _not_charged(part):
            writer.writerow([bill.account, bill.month, safe(part.contract), rule, safe(what), "", quantity, "", "",
                             "0.00", rows])
    for contract in bill.unpriced:
        writer.writerow([bill.account, bill.month, safe(contract), "no-price", *[""] * 5, "0.00", safe(contract)])
    return out.getvalue()


def _not_charged(part: Part) -> list[tuple[str, str, str, str]]:
    gaps = [("gap", resource, "", " ".join(spans)) for resource, spans in sorted(part.gaps.items())]
    return gaps if not part.credited else [("outage", "", _hours(part.credited), f"outage/{part.credited}s"), *gaps]


def number_of(bill: Bill) -> str:
    """The bill's number: there is one for each account and month."""
    return f"{bill.account}/{bill.month}"


def html_of(bill: Bill, holder: Holder | None, where: tzinfo) -> bytes:
    """The page. `holder` None: erased. An undefined name in the template is an error."""
    page = pages().get_template("bill.html.j2").render(
        bill=bill, number=number_of(bill), holder=holder, parts=[_shown(part, where) for part in bill.parts],
        vouchers=[_line(line) for line in bill.vouchers],
        since=date_of(min(part.since for part in bill.parts), where),
        until=date_of(max(part.until for part in bill.parts), where),
        closed=None if bill.closed_at is None else date_of(bill.closed_at, where),
        price=_yuan(bill.price), total=_yuan(bill.total),
        style=(FOLDER / "contract.css").read_text("utf-8"))
    return page.encode()


def document_of(bill: Bill) -> dict[str, Any]:
    """The bill for programs: what the paper says, and the rows of every line."""
    return {"number": number_of(bill), "account": bill.account, "month": bill.month, "since": bill.since,
            "until": bill.until, "whole": bill.whole, "closed_at": bill.closed_at,
            "base": f"{bill.base:.2f}", "price": f"{bill.price:.2f}",
            "vouchers": f"{bill.taken:.2f}", "payable": f"{bill.total:.2f}",
            "lines": [{"contract": line.contract or None, "rule": line.rule, "what": line.what, "figure": line.figure,
                       "quantity": _text(line.quantity), "per_hour": _text(line.per_hour), "measured": line.measured,
                       "amount": f"{line.amount:.2f}", "rows": line.rows} for line in bill.lines],
            "contracts": [{"contract": part.contract, "since": part.since, "until": part.until,
                           "seconds": part.seconds, "outage_seconds": part.credited, "base": f"{part.base:.2f}",
                           "price": f"{part.price:.2f}", "gaps": part.gaps} for part in bill.parts],
            "unpriced": bill.unpriced}


def _shown(part: Part, where: tzinfo) -> Mapping[str, Any]:
    return {"contract": part.contract, "since": date_of(part.since, where), "until": date_of(part.until, where),
            "hours": _hours(part.seconds - part.credited), "outage": _hours(part.credited) if part.credited else None,
            "base": _yuan(part.base), "price": _yuan(part.price), "lines": [_line(line) for line in part.lines],
            "gaps": {resource_name(resource): [_span(span, where) for span in spans]
                     for resource, spans in part.gaps.items()}}


def _line(line: Line) -> Mapping[str, Any]:
    return {"rule": line.rule.value, "what": resource_name(line.what), "rows": line.rows,
            "figure": _yuan(Decimal(line.figure)) if line.rule is Rule.VOUCHER else line.figure,
            "quantity": None if line.quantity is None else figure(line.quantity, 0),
            "per_hour": None if line.per_hour is None else figure(line.per_hour),
            "amount": _yuan(line.amount)}


def _span(span: str, where: tzinfo) -> str:
    """Hours as they are kept, in UTC, as civil time."""
    return " – ".join(date_of(datetime.strptime(end, "%Y-%m-%dT%HZ").replace(tzinfo=UTC), where)
                      for end in span.split("/"))


def _hours(seconds: int) -> str:
    return f"{timedelta(seconds=seconds) / timedelta(hours=1):,.2f}"


def _yuan(amount: Decimal) -> str:
    return f"{amount:,.2f}"


def _plain(value: Decimal | int | None) -> str:
    return "" if value is None else f"{value:f}" if isinstance(value, Decimal) else str(value)


def _text(value: Decimal | None) -> str | None:
    return None if value is None else f"{value.normalize():f}"
