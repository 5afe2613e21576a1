"""What holds for every page, whatever it shows."""

import pytest

from orchestrator.entry.http import claim_page, contract_page, operators_page, sign_in_page
from orchestrator.entry.http.pages import Pages, language

ALL = {"claim": claim_page.PAGES, "contract": contract_page.PAGES, "sign-in": sign_in_page.PAGES,
       "operators": operators_page.PAGES}


@pytest.mark.parametrize("name", ALL)
def test_both_languages_say_the_same_things(name: str) -> None:
    """The same keys in the same order."""
    texts = ALL[name].texts
    assert list(texts["en"]) == list(texts["zh"])


@pytest.mark.parametrize("name", ALL)
def test_nothing_may_be_loaded_or_run(name: str) -> None:
    """The page's own style, named by its hash, and nothing else."""
    policy = ALL[name].headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "script" not in policy
    assert "unsafe" not in policy


@pytest.mark.parametrize(("asked", "accepted", "spoken"), [
    ("zh", "en", "zh"), ("en", "zh", "en"), (None, "fr, zh-CN;q=0.9", "zh"), (None, "en-GB,zh", "en"),
    ("xx", "zh-TW", "zh"), (None, "", "en"), (None, "," * 5000 + "zh", "en")])
def test_a_page_speaks_what_is_asked_for(asked: str | None, accepted: str, spoken: str) -> None:
    """`?lang=` first, then the first accepted language that we speak, else English."""
    assert language(asked, accepted) == spoken


def test_an_undefined_name_is_an_error() -> None:
    """A page is never shown with a hole in it."""
    with pytest.raises(Exception, match="undefined"):
        Pages("claim").render("page.html.j2", "en")
