"""The signing page: a contract's document, its price and one button, in English or Chinese, without JavaScript."""

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from zoneinfo import ZoneInfo

import yaml
from markupsafe import Markup

from orchestrator.entry.http import claim_page
from orchestrator.entry.http.claim_page import Language
from orchestrator.flows.contract_paper import FOLDER, pages, shown
from orchestrator.lifecycle import price
from orchestrator.lifecycle.paper import Paper


@dataclass(frozen=True, slots=True)
class Shown:
    """A paper with where it is, and what cash vouchers are there to come off it."""

    paper: Paper
    stage: str
    vouchers: Decimal


@cache
def _texts() -> dict[str, dict[str, str]]:
    texts: dict[str, dict[str, str]] = yaml.safe_load((FOLDER / "texts.yaml").read_text("utf-8"))
    return texts


@cache
def _style() -> str:
    return (claim_page.FOLDER / "style.css").read_text("utf-8") + (FOLDER / "sign.css").read_text("utf-8")


@cache
def headers() -> Mapping[str, str]:
    """As for the claim page; besides, it may show the document, which comes from here, too."""
    digest = base64.b64encode(hashlib.sha256(_style().encode()).digest()).decode()
    policy = (f"default-src 'none'; style-src 'sha256-{digest}'; frame-src 'self'; form-action 'self'; base-uri 'none';"
              " frame-ancestors 'none'")
    return {**claim_page.headers(), "Content-Security-Policy": policy}


DOCUMENT_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'self'",
    "Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "X-Frame-Options": "SAMEORIGIN",
    "X-Robots-Tag": "noindex, nofollow"}
"""The document's style is inside it and signed with it; nothing else is loaded."""


def render(found: Shown | None, lang: Language, path: str, zone: str, error: str | None = None) -> str:
    """The page; without a paper, the one that says the link is not known. `error` is a key of the texts."""
    t = _texts()[lang]
    fields: dict[str, object] = {"paper": None}
    if found is not None:
        payable, taken = price.after_vouchers(found.paper.price, found.vouchers)
        fields = {"paper": found.paper, "stage": found.stage, "terms": shown(found.paper.terms), "path": path,
                  "action": f"{path}?lang={lang}", "taken": f"{taken:,.2f}" if taken else None,
                  "payable": f"{payable:,.2f}",
                  "ends": f"{found.paper.ends_at.astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M} ({zone})"}
    return pages().get_template("sign.html.j2").render(
        t=t, error=t[error] if error else None, style=Markup(_style()), **fields)  # noqa: S704 - our own files
