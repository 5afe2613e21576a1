"""Signing in at a certified OpenID provider, as a browser does it."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from orchestrator.entry.http.desk import Limits
from orchestrator.store import journal
from tests.entry.cli_home import made
from tests.entry.http_world import World, world
from tests.entry.node_project import installed
from tests.entry.oidc_world import LOCKED, Browser, free_port, provider, query_of, settings
from tests.entry.test_http_sign_in import pages


@dataclass
class City:
    """A Tenure whose operators sign in at the provider that runs from `folder` at `port`."""

    tenure: World
    folder: Path
    port: int


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The provider, installed once."""
    return installed(LOCKED, tmp_path_factory.mktemp("oidc"))


@pytest.fixture
def city(library: Path, tmp_path: Path) -> Iterator[City]:
    """It, with a fresh Tenure."""
    port = free_port()
    with world(tmp_path / "home", Limits(sign_in_burst=1000), room=pages,
               oidc=settings(f"http://127.0.0.1:{port}", tmp_path)) as tenure:
        yield City(tenure, library, port)


@pytest.mark.parametrize("claims", ["token", "userinfo"])
def test_an_operator_signs_in(city: City, claims: str) -> None:
    """Away, a password, a consent, and back to the page that was wanted; groups in the token or at userinfo."""
    with provider(city.folder, city.port, claims), Browser(city.tenure) as browser:
        seen = browser.sign_in("u-olga").json()
    assert (seen["actor"], seen["role"]) == ("oidc:u-olga", "operator")
    with city.tenure.ctx.store.read() as tx:
        row = journal.list_(tx, limit=1)[0]
    assert (row.action, row.actor, row.facts["role"]) == ("session.opened", "oidc:u-olga", "operator")


def test_the_page_has_the_button_and_the_way_back(city: City) -> None:
    """A browser that wanted a page gets there through the button."""
    with provider(city.folder, city.port), Browser(city.tenure) as browser:
        page = browser.go("/page")
        assert "Sign in with City ID" in page.text
        assert 'href="/sign-in/oidc?lang=en&amp;next=/page"' in page.text


def test_of_several_groups_the_strongest_role_holds(city: City) -> None:
    """Whatever their order."""
    with provider(city.folder, city.port), Browser(city.tenure) as browser:
        assert browser.sign_in("u-anna").json()["role"] == "admin"


def test_who_is_in_no_group_of_ours_is_told_so(city: City) -> None:
    """403 and a page that says why; no session."""
    with provider(city.folder, city.port), Browser(city.tenure) as browser:
        answer = browser.sign_in("u-nora")
        assert (answer.status_code, browser.cookies) == (403, {})
    assert "none of your groups" in answer.text
    assert [row.facts["refusal"] for row in city.tenure.refusals()] == ["oidc_no_group"]


def test_an_address_as_subject_is_not_in_the_journal(city: City) -> None:
    """A keyed hash stands for it."""
    with provider(city.folder, city.port), Browser(city.tenure) as browser:
        actor = browser.sign_in("olga@example.edu.cn").json()["actor"]
    assert actor.startswith("oidc:~")
    assert "example" not in actor


def test_a_code_is_good_once(city: City) -> None:
    """The same answer again, with the same cookie, signs nobody in."""
    with provider(city.folder, city.port), Browser(city.tenure) as browser:
        browser.go("/sign-in/oidc")
        sealed = dict(browser.cookies)
        browser.sign_in("u-olga", browser.visited[-1])
        done = next(one for one in browser.visited if "/sign-in/oidc/done" in one)
        attempts = []
        for _ in range(2):
            browser.cookies = dict(sealed)
            attempts.append(browser.once(done).status_code)
    assert attempts == [401, 401]


def test_a_providers_new_key_is_fetched(city: City) -> None:
    """It starts anew with another key; who comes next is signed in."""
    with provider(city.folder, city.port), Browser(city.tenure) as browser:
        assert browser.sign_in("u-olga").status_code == 200
    city.tenure.clock.ahead = timedelta(seconds=10)
    with provider(city.folder, city.port), Browser(city.tenure) as browser:
        assert browser.sign_in("u-vera").json()["role"] == "viewer"


def test_who_says_no_at_the_provider_is_not_signed_in(city: City) -> None:
    """The provider's error comes back, and our page."""
    with provider(city.folder, city.port), Browser(city.tenure) as browser:
        state = query_of(browser.once("/sign-in/oidc").headers["location"])["state"]
        answer = browser.go(f"/sign-in/oidc/done?error=access_denied&state={state}")
    assert (answer.status_code, 'role="alert"' in answer.text) == (401, True)


def test_a_provider_that_is_down_is_said_and_tokens_still_work(city: City) -> None:
    """503, a page with the way that is left."""
    with Browser(city.tenure) as browser:
        answer = browser.go("/sign-in/oidc?next=/page")
        assert (answer.status_code, "use a token" in answer.text) == (503, True)
        signed = browser.submit(answer, token=city.tenure.tokens["operator"])
        assert signed.json()["role"] == "operator"


def test_the_doctor_looks_at_the_provider(library: Path, tmp_path: Path) -> None:
    """Its configuration, its keys, our secret's file; and says what is wrong with it."""
    home, port = made(tmp_path), free_port()
    (tmp_path / "secret").write_text("s")
    (tmp_path / "secret").chmod(0o600)
    (home.folder / "tenure.yaml").write_text(json.dumps({"oidc": {
        "issuer": f"http://127.0.0.1:{port}", "client_id": "tenure", "roles": {"ops": "operator"},
        "client_secret_file": str(tmp_path / "secret")}}))

    def seen() -> dict[str, Any]:
        return next(one for one in home("doctor", "--json").json if one["subject"] == "OpenID provider")

    assert not seen()["ok"]
    with provider(library, port) as issuer:
        assert (seen()["ok"], seen()["seen"]) == (True, f"{issuer}, 1 keys")
        (tmp_path / "secret").chmod(0o644)
        assert "others may read" in seen()["seen"]
        (tmp_path / "secret").unlink()
        assert "client_secret_file" in seen()["seen"]
