"""The sign-in page, in English or Chinese, without JavaScript."""

from collections.abc import Mapping
from functools import cache

import jinja2
import yaml
from markupsafe import Markup

from orchestrator.entry.http import claim_page
from orchestrator.entry.http.claim_page import Language

FOLDER = claim_page.FOLDER.parent / "sign-in"


@cache
def _texts() -> dict[str, dict[str, str]]:
    texts: dict[str, dict[str, str]] = yaml.safe_load((FOLDER / "texts.yaml").read_text("utf-8"))
    return texts


@cache
def _pages() -> jinja2.Environment:
    return jinja2.Environment(loader=jinja2.FileSystemLoader(FOLDER), undefined=jinja2.StrictUndefined,
                              autoescape=True, trim_blocks=True, lstrip_blocks=True)


def headers() -> Mapping[str, str]:
    """As for the claim page. Browsers say where a form comes from only when the referrer may be told."""
    return {**claim_page.headers(), "Referrer-Policy": "same-origin"}


def render(lang: Language, then: str, error: str | None = None, role: str = "") -> str:
    """The page. `then` is where to go afterwards, `error` a key of the texts."""
    t = _texts()[lang]
    return _pages().get_template("page.html.j2").render(
        t=t, lang=lang, then=then, error=t[error].format(role=role) if error else None,
        style=Markup(claim_page.style()))  # noqa: S704 - our own file, hashed into the policy
