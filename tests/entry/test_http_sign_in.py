"""Browsers signing in by a token: what the cookie is, who gets where, and what is refused."""

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import httpx
import pytest
from fastapi import APIRouter, Depends
from fastapi.responses import Response

from orchestrator.entry.http.auth import OPERATORS, VIEWERS, Caller
from orchestrator.entry.http.desk import Desk, Limits
from orchestrator.entry.http.intake import RawBody
from orchestrator.entry.http.session import form_of, safe_next, visitor
from orchestrator.store import journal, tokens
from tests.entry.http_world import World, world

HTML = {"accept": "text/html,application/xhtml+xml"}


def pages(desk: Desk) -> APIRouter:
    """Two doors behind `visitor`, as a page of the operators' is: one to look, one to act."""
    router = APIRouter()

    @router.get("/page")
    async def page(by: Annotated[Caller, Depends(visitor(desk, VIEWERS))]) -> dict[str, str | None]:
        return {"actor": by.actor, "role": by.role, "form_key": by.form_key}

    @router.post("/page")
    async def act(raw: RawBody, by: Annotated[Caller, Depends(visitor(desk, OPERATORS))]) -> Response:
        return Response(form_of(by, raw)["what"])

    return router


@pytest.fixture(scope="module")
def paged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A Tenure with those doors beside its own, and patience for many browsers at one address."""
    with world(tmp_path_factory.mktemp("signin") / "home", Limits(sign_in_burst=1000), room=pages) as made:
        yield made


@pytest.fixture
def browser(paged: World) -> Iterator[httpx.Client]:
    """A browser without cookies."""
    paged.clock.ahead *= 0
    with httpx.Client(base_url=paged.url, headers=HTML, timeout=60) as client:
        yield client


def cookie_of(answer: httpx.Response) -> dict[str, str]:
    """The session's cookie as a request header: behind TLS in earnest, and a test's client has none."""
    value = answer.headers["set-cookie"].split(";")[0]
    return {"cookie": value}


def signed_in(tenure: World, browser: httpx.Client, role: str = "operator", then: str = "/page") -> httpx.Response:
    """The answer to a pasted token."""
    return browser.post("/sign-in", data={"token": tenure.tokens[role], "next": then})


def test_a_browser_that_nobody_signed_in_is_sent_to_sign_in(browser: httpx.Client) -> None:
    """And will come back to where it wanted to go."""
    answer = browser.get("/page?site=north")
    assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in?next=/page%3Fsite%3Dnorth")


def test_a_program_without_a_token_is_told_so(paged: World) -> None:
    """401 with a code, no page."""
    answer = paged.client.get("/page")
    assert (answer.status_code, answer.json()["code"]) == (401, "token_missing")


def test_a_token_opens_a_session(paged: World, browser: httpx.Client) -> None:
    """Paste it, come back, be known; the session is journalled."""
    answer = signed_in(paged, browser)
    assert (answer.status_code, answer.headers["location"]) == (303, "/page")
    seen = browser.get("/page", headers=cookie_of(answer)).json()
    token = paged.tokens["operator"].split("_")[1]
    assert (seen["actor"], seen["role"]) == (f"token:{token}", "operator")
    with paged.ctx.store.read() as tx:
        assert journal.list_(tx, limit=1)[0].action == "session.opened"


def test_the_cookie_is_locked_up(paged: World, browser: httpx.Client) -> None:
    """No script reads it, no other site sends it, no plain connection carries it."""
    cookie = signed_in(paged, browser).headers["set-cookie"].lower()
    assert cookie.startswith("__host-tenure=")
    assert {"httponly", "secure", "samesite=lax", "path=/", "max-age=28800"} <= set(cookie.split("; "))
    assert "domain" not in cookie


def test_a_bearer_token_is_as_good(paged: World) -> None:
    """For programs that read pages."""
    assert paged.get("/page").json()["role"] == "viewer"


def test_a_role_that_may_not_gets_403(paged: World, browser: httpx.Client) -> None:
    """A viewer's session looks and does not act; it is journalled."""
    cookie = cookie_of(signed_in(paged, browser, "viewer"))
    key = browser.get("/page", headers=cookie).json()["form_key"]
    before = len(paged.refusals())
    answer = browser.post("/page", data={"what": "x", "form_key": key}, headers=cookie)
    assert (answer.status_code, len(paged.refusals())) == (403, before + 1)


@pytest.mark.parametrize("token", ["", "x", "tenure_a_b", "tenure_aaaaaaaa_" + "x" * 43, "令牌"])
def test_a_wrong_token_opens_nothing(paged: World, browser: httpx.Client, token: str) -> None:
    """The page says so, and the journal."""
    before = len(paged.refusals())
    answer = browser.post("/sign-in", data={"token": token, "next": "/page"})
    assert (answer.status_code, "set-cookie" in answer.headers, len(paged.refusals())) == (401, False, before + 1)
    assert 'role="alert"' in answer.text


def test_a_senders_token_opens_no_pages(paged: World, browser: httpx.Client) -> None:
    """It is for programs that read the API."""
    answer = browser.post("/sign-in", data={"token": paged.tokens["sender"]})
    assert (answer.status_code, "set-cookie" in answer.headers) == (403, False)


def test_signing_out_ends_the_session(paged: World, browser: httpx.Client) -> None:
    """At the server too: the cookie itself is worth nothing any more."""
    cookie = cookie_of(signed_in(paged, browser))
    key = browser.get("/page", headers=cookie).json()["form_key"]
    answer = browser.post("/sign-out", data={"form_key": key}, headers=cookie)
    assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in?out=1")
    assert "max-age=0" in answer.headers["set-cookie"].lower()
    assert browser.get("/page", headers=cookie).status_code == 303


@pytest.mark.parametrize("form", [{}, {"form_key": ""}, {"form_key": "0" * 64}, {"form_key": "é"}])
def test_a_form_without_the_sessions_key_is_refused(paged: World, browser: httpx.Client, form: dict[str, str]) -> None:
    """Another site's page cannot know it."""
    cookie = cookie_of(signed_in(paged, browser))
    assert browser.post("/sign-out", data=form, headers=cookie).status_code == 403
    assert browser.post("/page", data={"what": "x"} | form, headers=cookie).status_code == 403
    assert browser.get("/page", headers=cookie).status_code == 200


def test_anothers_form_key_is_refused(paged: World, browser: httpx.Client) -> None:
    """Each session has its own."""
    mine, theirs = cookie_of(signed_in(paged, browser)), cookie_of(signed_in(paged, browser))
    key = browser.get("/page", headers=theirs).json()["form_key"]
    assert browser.post("/sign-out", data={"form_key": key}, headers=mine).status_code == 403


@pytest.mark.parametrize("headers", [{"sec-fetch-site": "cross-site"}, {"sec-fetch-site": "same-site"},
                                     {"origin": "https://evil.example"}, {"origin": "null"}])
def test_another_sites_page_signs_nobody_in(paged: World, browser: httpx.Client, headers: dict[str, str]) -> None:
    """Nor does it act for somebody signed in."""
    answer = browser.post("/sign-in", data={"token": paged.tokens["operator"]}, headers=headers)
    assert (answer.status_code, "set-cookie" in answer.headers) == (403, False)
    cookie = cookie_of(signed_in(paged, browser))
    key = browser.get("/page", headers=cookie).json()["form_key"]
    assert browser.post("/page", data={"what": "x", "form_key": key}, headers=cookie | headers).status_code == 403


def test_our_own_pages_form_is_taken(paged: World, browser: httpx.Client) -> None:
    """By what browsers say of it, new and old."""
    cookie = cookie_of(signed_in(paged, browser))
    form = {"what": "done", "form_key": browser.get("/page", headers=cookie).json()["form_key"]}
    for headers in ({"sec-fetch-site": "same-origin"}, {"origin": "https://tenure.example"}, {"origin": paged.url}):
        assert browser.post("/page", data=form, headers=cookie | headers).text == "done"


@pytest.mark.parametrize("wanted", ["//evil.example", "/\\evil.example", "https://evil.example", "evil", "", "/a\\b",
                                    "/a\r\nset-cookie: x", "/\t/evil.example", "javascript:alert(1)", "/" + "x" * 600])
def test_nobody_is_led_elsewhere(paged: World, browser: httpx.Client, wanted: str) -> None:
    """After signing in only a path of ours is gone to."""
    assert safe_next(wanted) == "/"
    assert signed_in(paged, browser, then=wanted).headers["location"] == "/"


def test_an_unused_session_ends_and_a_used_one_goes_on(paged: World, browser: httpx.Client) -> None:
    """After an hour unused; after eight hours whatever happens."""
    cookie = cookie_of(signed_in(paged, browser))
    seen = []
    for minutes in (50, 100, 150, 211):
        paged.clock.ahead = timedelta(minutes=minutes)
        seen.append(browser.get("/page", headers=cookie).status_code)
    assert seen == [200, 200, 200, 303]


def test_a_session_ends_after_its_longest_time(paged: World, browser: httpx.Client) -> None:
    """However much it is used."""
    cookie = cookie_of(signed_in(paged, browser))
    seen = []
    for minutes in range(0, 520, 40):
        paged.clock.ahead = timedelta(minutes=minutes)
        seen.append(browser.get("/page", headers=cookie).status_code)
    assert seen == [200] * 12 + [303]


def test_a_session_ends_with_its_token(paged: World, browser: httpx.Client) -> None:
    """Revoking the token is enough."""
    with paged.ctx.store.write() as tx:
        plain = tokens.make(tx, "operator", "short", paged.clock())
    cookie = cookie_of(browser.post("/sign-in", data={"token": plain}))
    with paged.ctx.store.write() as tx:
        tokens.revoke(tx, plain.split("_")[1], paged.clock())
    assert browser.get("/page", headers=cookie).status_code == 303


def test_the_api_takes_no_cookie(paged: World, browser: httpx.Client) -> None:
    """So no page of another site can act through it."""
    cookie = cookie_of(signed_in(paged, browser))
    assert browser.get("/v1/accounts", headers=cookie).status_code == 401


def test_the_page_runs_no_script_and_loads_nothing(browser: httpx.Client) -> None:
    """Its policy says so, and it needs none."""
    answer = browser.get("/sign-in?next=/page")
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "script" not in answer.text
    assert 'value="/page"' in answer.text


def test_what_is_asked_for_cannot_break_the_page(browser: httpx.Client) -> None:
    """It is escaped."""
    answer = browser.get("/sign-in", params={"next": '/"><b>x</b>'})
    assert "<b>" not in answer.text


def test_being_signed_out_is_no_alarm(browser: httpx.Client) -> None:
    """It is said, and not as an error."""
    page = browser.get("/sign-in?out=1").text
    assert "You are signed out." in page
    assert 'role="alert"' not in page


def test_the_page_speaks_chinese(browser: httpx.Client) -> None:
    """As the browser prefers, or as asked."""
    assert "登录 Tenure" in browser.get("/sign-in", headers={"accept-language": "zh-CN"}).text
    assert "登录 Tenure" in browser.get("/sign-in?lang=zh").text


def test_too_many_tries_have_to_wait(tmp_path: Path) -> None:
    """From one address; the page says so."""
    with world(tmp_path / "home", Limits(sign_in_rate=0.01, sign_in_burst=2)) as tenure:
        seen = [tenure.client.post("/sign-in", data={"token": "x"}, headers=HTML) for _ in range(3)]
    assert [one.status_code for one in seen] == [401, 401, 429]
    assert re.fullmatch(r"[0-9]+", seen[2].headers["retry-after"])
