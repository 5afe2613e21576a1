"""What all pages share: texts in English and Chinese, strict templates, one style. No page needs JavaScript.

The policy lets nothing be loaded but the page's own style, which it names by its hash.
"""

import base64
import hashlib
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Literal

import jinja2
import yaml
from fastapi import Request
from markupsafe import Markup

Language = Literal["en", "zh"]
TEMPLATES = Path(__file__).resolve().parents[3] / "templates"
STYLE = "claim/style.css"
"""What every page looks like; a page's own style comes behind it."""


def language(asked: str | None, accepted: str) -> Language:
    """`?lang=` when given, else the first of Accept-Language that we speak."""
    if asked in ("en", "zh"):
        return "zh" if asked == "zh" else "en"
    for one in accepted.split(",")[:10]:
        match one.strip()[:2].lower():
            case "zh":
                return "zh"
            case "en":
                return "en"
    return "en"


def spoken(request: Request, asked: str | None) -> Language:
    """The language of the answer to this request."""
    return language(asked, request.headers.get("accept-language", ""))


class Pages:
    """The pages of one folder of templates: its `texts.yaml`, its templates, and the style sheets that it names.

    `policy` is added to what the browser is told, `others` replaces or adds headers.
    """

    def __init__(self, folder: str, *styles: str, policy: str = "", others: Mapping[str, str] | None = None) -> None:
        self.folder = TEMPLATES / folder
        self._styles = (STYLE, *styles)
        self._policy = policy
        self._others = dict(others or {})

    @cached_property
    def texts(self) -> dict[Language, dict[str, str]]:
        """What the pages say, by language; every language has the same keys."""
        texts: dict[Language, dict[str, str]] = yaml.safe_load((self.folder / "texts.yaml").read_text("utf-8"))
        return texts

    @cached_property
    def headers(self) -> Mapping[str, str]:
        """Nothing but the style may be loaded, nothing cached, the address never passed on."""
        digest = base64.b64encode(hashlib.sha256(self._style.encode()).digest()).decode()
        policy = (f"default-src 'none'; style-src 'sha256-{digest}'; {self._policy}form-action 'self';"
                  " base-uri 'none'; frame-ancestors 'none'")
        return {"Content-Security-Policy": policy, "Cache-Control": "no-store", "Referrer-Policy": "no-referrer",
                "X-Frame-Options": "DENY", "X-Robots-Tag": "noindex, nofollow", "Vary": "Accept-Language",
                "Cross-Origin-Opener-Policy": "same-origin"} | self._others

    def render(self, template: str, lang: Language, **fields: object) -> str:
        """The page. Templates see the texts as `t`, `lang` and `style`; every value is escaped."""
        style = Markup(self._style)  # noqa: S704 - our own files, hashed into the policy
        return self._templates.get_template(template).render(t=self.texts[lang], lang=lang, style=style,
                                                                **fields)

    @cached_property
    def _style(self) -> str:
        return "".join((TEMPLATES / style).read_text("utf-8") for style in self._styles)

    @cached_property
    def _templates(self) -> jinja2.Environment:
        return jinja2.Environment(loader=jinja2.FileSystemLoader(self.folder), undefined=jinja2.StrictUndefined,
                                  autoescape=True, trim_blocks=True, lstrip_blocks=True)
