"""The signing page: a contract's document, its price and one button, in English or Chinese, without JavaScript."""

from dataclasses import dataclass
from decimal import Decimal
from zoneinfo import ZoneInfo

from orchestrator.entry.http.pages import Language, Pages
from orchestrator.flows.money.contract_paper import shown
from orchestrator.lifecycle import price
from orchestrator.lifecycle.paper import Paper

PAGES = Pages("contracts", "contracts/sign.css", policy="frame-src 'self'; ")
"""Besides its style, it may show the document, which comes from here, too."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A paper with where it is, the SHA-256 of the document as drafted, and what cash vouchers are there to come off
    it."""

    paper: Paper
    stage: str
    drafted: str
    vouchers: Decimal


DOCUMENT_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'self'",
    "Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "X-Frame-Options": "SAMEORIGIN",
    "X-Robots-Tag": "noindex, nofollow"}
"""The document's style is inside it and signed with it; nothing else is loaded."""


def render(found: Shown | None, lang: Language, path: str, zone: str, error: str | None = None) -> str:
    """The page; without a paper, the one that says the link is not known. `error` is a key of the texts."""
    fields: dict[str, object] = {"paper": None}
    if found is not None:
        taken, payable = Decimal(0), found.paper.price
        if not found.paper.open:
            payable, taken = price.after_vouchers(found.paper.price, found.vouchers)
        fields = {"paper": found.paper, "stage": found.stage, "drafted": found.drafted,
                  "terms": shown(found.paper.terms), "path": path, "action": f"{path}?lang={lang}",
                  "taken": f"{taken:,.2f}" if taken else None, "payable": f"{payable:,.2f}",
                  "ends": PAGES.texts[lang]["open_end"] if found.paper.open
                  else f"{found.paper.ends_at.astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M} ({zone})"}
    return PAGES.render("sign.html.j2", lang, error=PAGES.texts[lang][error] if error else None, **fields)
