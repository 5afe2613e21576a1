"""The sign-in page, in English or Chinese, without JavaScript."""

from orchestrator.entry.http.pages import Language, Pages

PAGES = Pages("sign-in", others={"Referrer-Policy": "same-origin"})
"""Browsers say where a form comes from only when the referrer may be told."""


def render(lang: Language, then: str, error: str | None = None, role: str = "", provider: str | None = None) -> str:
    """The page. `then` is where to go afterwards, `error` a key of the texts, `provider` what its button says."""
    told = PAGES.texts[lang][error].format(role=role) if error else None
    return PAGES.render("page.html.j2", lang, then=then, error=told, provider=provider,
                        good=error == "signed_out")
