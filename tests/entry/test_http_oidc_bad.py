"""What a provider, or somebody who plays one, may answer, and whom it does not sign in."""

import base64
import json
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from joserfc.jwk import OctKey, RSAKey

from orchestrator.entry.http.bounded import client
from orchestrator.entry.http.desk import Limits
from tests.dripping import dripping
from tests.entry.http_world import World, world
from tests.entry.oidc_world import SECRET, Bad, Browser, bad_provider, query_of, settings
from tests.entry.test_http_sign_in import pages

OTHER = RSAKey.generate_key(2048, {"kid": "k1", "use": "sig"})


@pytest.fixture(scope="module")
def bad(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[World, Bad]]:
    """A Tenure and the provider that a test writes the answers of."""
    folder = tmp_path_factory.mktemp("bad")
    with bad_provider() as one, world(folder / "home", Limits(sign_in_burst=10_000, refusal_burst=10_000), room=pages,
                                      oidc=settings(one.issuer, folder, timeout=timedelta(seconds=30))) as tenure:
        yield tenure, one


@pytest.fixture
def fresh(bad: tuple[World, Bad]) -> tuple[World, Bad]:
    """Both, with the provider honest again and nothing kept of it."""
    tenure, one = bad
    tenure.clock.ahead += timedelta(hours=2)
    vars(one).update(vars(Bad(issuer=one.issuer, key=one.key)))
    # Its clock goes on with ours: what is tested is the answer, not how far the two are apart.
    ahead = int(tenure.clock.ahead.total_seconds())
    one.claims = {"exp": int(time.time()) + ahead + 300, "iat": int(time.time()) + ahead}
    return tenure, one


def back(tenure: World, one: Bad, **changed: str | None) -> tuple[httpx.Response, Browser]:
    """Sent away and back with a code; `changed` is what the browser's answer says instead."""
    with Browser(tenure) as browser:
        sent = query_of(browser.once("/sign-in/oidc?next=/page").headers["location"])
        one.nonce = sent["nonce"]
        said = {"code": "c", "state": sent["state"]} | changed
        query = "&".join(f"{name}={value}" for name, value in said.items() if value is not None)
        return browser.once(f"/sign-in/oidc/done?{query}"), browser


def refused(answer: httpx.Response, browser: Browser, tenure: World, status: int = 401,
            code: str = "oidc_refused") -> None:
    """A page that says so, nobody signed in, one row in the journal."""
    assert (answer.status_code, browser.cookies) == (status, {})
    assert 'role="alert"' in answer.text
    assert tenure.refusals()[0].facts["refusal"] == code


def test_a_good_answer_signs_in(fresh: tuple[World, Bad]) -> None:
    """So that what follows is refused for what is wrong with it."""
    answer, browser = back(*fresh)
    assert (answer.status_code, answer.headers["location"]) == (303, "/page")
    assert browser.once("/page").json()["actor"] == "oidc:u-olga"


@pytest.mark.parametrize("claims", [
    {"nonce": "another"}, {"nonce": None}, {"nonce": ""}, {"aud": "another"}, {"aud": None}, {"aud": []}, {"aud": 7},
    {"aud": ["tenure", "another"]}, {"aud": ["tenure", "another"], "azp": "another"}, {"azp": "another"},
    {"iss": "https://another.example"}, {"iss": None}, {"exp": 1}, {"exp": None}, {"exp": "soon"}, {"iat": None},
    {"iat": 2**40}, {"nbf": 2**40}, {"sub": None}, {"sub": ""}, {"sub": 7}], ids=str)
def test_a_token_that_is_not_for_this_attempt_is_refused(fresh: tuple[World, Bad], claims: dict[str, Any]) -> None:
    """Another nonce, audience, issuer or time, or none of it."""
    tenure, one = fresh
    one.claims |= claims
    refused(*back(tenure, one), tenure)


def test_a_token_of_several_audiences_names_us_as_its_party(fresh: tuple[World, Bad]) -> None:
    """Then it is good."""
    tenure, one = fresh
    one.claims |= {"aud": ["another", "tenure"], "azp": "tenure"}
    assert back(tenure, one)[0].status_code == 303


def test_an_expiry_within_a_minute_is_forgiven(fresh: tuple[World, Bad]) -> None:
    """Clocks differ; a minute on, no more."""
    tenure, one = fresh
    now = int(tenure.clock().timestamp())
    one.claims |= {"exp": now - 30}
    assert back(tenure, one)[0].status_code == 303
    one.claims |= {"exp": now - 90}
    refused(*back(tenure, one), tenure)


def test_a_token_signed_by_another_is_refused(fresh: tuple[World, Bad]) -> None:
    """Under the same key's name."""
    tenure, one = fresh
    one.signer = OTHER
    refused(*back(tenure, one), tenure)


def test_an_unsigned_token_is_refused(fresh: tuple[World, Bad]) -> None:
    """`alg: none` proves nothing."""
    tenure, one = fresh

    def part(value: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    claims = {"iss": one.issuer, "aud": "tenure", "sub": "u-olga", "nonce": "?"} | one.claims
    for header in ({"alg": "none"}, {"alg": "none", "kid": "k1"}, {"alg": "NONE"}, {"kid": "k1"}):
        one.id_token = f"{part(header)}.{part(claims)}."
        refused(*back(tenure, one), tenure)


def test_a_token_signed_with_a_shared_secret_is_refused(fresh: tuple[World, Bad]) -> None:
    """Neither with the client's secret nor with the public key as one."""
    tenure, one = fresh
    one.header = {"alg": "HS256", "kid": "k1"}
    for secret in (SECRET.encode() + b"x" * 32, one.key.as_pem(private=False)):  # type: ignore[union-attr]
        one.signer = OctKey.import_key(base64.urlsafe_b64encode(secret))
        refused(*back(tenure, one), tenure)


@pytest.mark.parametrize("token", ["", "x", "a.b", "a.b.c", "....", "é.é.é"])
def test_what_is_no_token_is_refused(fresh: tuple[World, Bad], token: str) -> None:
    """And not a fault of ours."""
    tenure, one = fresh
    one.id_token = token or "."
    refused(*back(tenure, one), tenure)


@pytest.mark.parametrize("subject", [5, ["u-olga"], {"u": "olga"}, True, ""], ids=str)
def test_a_subject_that_is_no_text_is_refused(fresh: tuple[World, Bad], subject: Any) -> None:
    """And not a fault of ours."""
    tenure, one = fresh
    one.claims |= {"sub": subject}
    refused(*back(tenure, one), tenure)


@pytest.mark.parametrize("other", [
    {"kty": "AKP", "alg": "ML-DSA-44", "kid": "k0", "pub": "AAAA"}, {"kty": "OKP", "crv": "X", "kid": "k0", "x": "AA"},
    {"kty": "EC", "crv": "P-999", "kid": "k0", "x": "AA", "y": "AA"}, {"kid": "k0"}, {"kty": 7}], ids=str)
def test_a_key_that_we_do_not_know_is_passed_over(fresh: tuple[World, Bad], other: dict[str, Any]) -> None:
    """RFC 7517, section 5: a provider may have new kinds of keys beside those that we can use."""
    tenure, one = fresh
    keys = {"keys": [other, one.key.as_dict(private=False)]}
    one.answers["/jwks"] = (200, json.dumps(keys).encode())
    answer, browser = back(tenure, one)
    assert answer.status_code == 303, answer.text
    assert browser.cookies


@pytest.mark.parametrize("says", [b"HTTP/1.1 200 OK\r\nx: " + b"y" * 10_000, b"HTTP/1.1 100 \r\n\r\n" * 1000],
                         ids=["head", "heads"])
def test_a_provider_that_answers_a_byte_at_a_time_is_left(says: bytes) -> None:
    """No single wait is ever too long."""
    with dripping(says) as port, client(timedelta(seconds=1)) as asking, pytest.raises(httpx.HTTPError):
        asking.get(f"http://127.0.0.1:{port}/")


def test_a_rotated_key_is_fetched_once(fresh: tuple[World, Bad]) -> None:
    """A new key's name makes us ask again; a name that is nobody's does not make us ask for ever."""
    tenure, one = fresh
    assert back(tenure, one)[0].status_code == 303
    one.key = RSAKey.generate_key(2048, {"kid": "k2", "use": "sig"})
    one.header = {"alg": "RS256", "kid": "k2"}
    tenure.clock.ahead += timedelta(seconds=10)
    assert back(tenure, one)[0].status_code == 303
    one.header = {"alg": "RS256", "kid": "nobody's"}
    asked = one.asked.count("/jwks")
    for _ in range(5):
        refused(*back(tenure, one), tenure)
    assert one.asked.count("/jwks") - asked <= 1


@pytest.mark.parametrize("changed", [{"state": "another"}, {"state": None}, {"code": None}, {"error": "access_denied"},
                                     {"iss": "https://another.example"}, {"state": "é"}], ids=str)
def test_an_answer_to_another_attempt_is_refused(fresh: tuple[World, Bad], changed: dict[str, str | None]) -> None:
    """Another state, no code, an error, another issuer: nothing is even asked of the provider."""
    tenure, one = fresh
    answer, browser = back(tenure, one, **changed)
    refused(answer, browser, tenure)
    assert "/token" not in one.asked


@pytest.mark.parametrize("cookie", ["", "x", "AAAA", "é"])
def test_a_browser_that_was_not_sent_is_refused(fresh: tuple[World, Bad], cookie: str) -> None:
    """Somebody else's link signs nobody in."""
    tenure, _ = fresh
    headers = {"cookie": f"__Host-tenure-oidc={cookie}".encode(), "accept": "text/html"}
    answer = httpx.get(f"{tenure.url}/sign-in/oidc/done?code=c&state=s", headers=headers)  # type: ignore[arg-type]
    assert answer.status_code == 401


def test_whoever_takes_too_long_starts_again(fresh: tuple[World, Bad]) -> None:
    """After ten minutes."""
    tenure, _ = fresh
    with Browser(tenure) as browser:
        sent = query_of(browser.once("/sign-in/oidc").headers["location"])
        tenure.clock.ahead += timedelta(minutes=11)
        answer = browser.once(f"/sign-in/oidc/done?code=c&state={sent['state']}")
    refused(answer, browser, tenure)


def test_a_provider_that_says_no_to_the_code_is_heard(fresh: tuple[World, Bad]) -> None:
    """A code that it knows no more."""
    tenure, one = fresh
    one.answers["/token"] = (400, b'{"error": "invalid_grant"}')
    refused(*back(tenure, one), tenure)


@pytest.mark.parametrize("path", ["/token", "/jwks"])
@pytest.mark.parametrize("said", [(500, b"{}"), (200, b"<html>"), (200, b"[]"), (302, b"{}"),
                                  (200, b'"' + b"x" * 2**21), (200, b"\xff")],
                         ids=["500", "html", "list", "moved", "huge", "raw"])
def test_a_provider_that_breaks_is_said(fresh: tuple[World, Bad], path: str, said: tuple[int, bytes]) -> None:
    """503 and a page, whichever of its addresses it is."""
    tenure, one = fresh
    one.answers[path] = said
    refused(*back(tenure, one), tenure, 503, "oidc_away")


@pytest.mark.parametrize("discovery", [{"issuer": "https://another.example"}, {"token_endpoint": None},
                                       {"jwks_uri": "file:///etc/passwd"}, {"token_endpoint": "gopher://x/"},
                                       {"authorization_endpoint": "javascript:alert(1)"}], ids=str)
def test_a_configuration_that_leads_elsewhere_is_refused(fresh: tuple[World, Bad], discovery: dict[str, Any]) -> None:
    """Another issuer's, incomplete, or with addresses of another kind."""
    tenure, one = fresh
    one.discovery = discovery
    with Browser(tenure) as browser:
        answer = browser.once("/sign-in/oidc")
    refused(answer, browser, tenure, 503, "oidc_away")


def test_no_secret_is_in_a_log_or_page(fresh: tuple[World, Bad], caplog: pytest.LogCaptureFixture) -> None:
    """Neither the client's nor the code nor the token."""
    tenure, one = fresh
    one.claims |= {"aud": "another"}
    answer, _ = back(tenure, one, code="the-code")
    for secret in (SECRET, "the-code", one.token().split(".")[2]):
        assert secret not in answer.text
        assert secret not in "\n".join(line for line in caplog.text.splitlines() if "tenure.http" in line)


@pytest.mark.parametrize("wrong", ["http://id.example.org", "ftp://x", "id.example.org", "https://"])
def test_an_issuer_without_tls_is_no_setting(tmp_path: Path, wrong: str) -> None:
    """Except on this machine."""
    with pytest.raises(ValueError, match="https"):
        settings(wrong, tmp_path)
