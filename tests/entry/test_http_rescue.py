"""The claim door after the end: what can be fetched, how, and by whom; in both languages."""

import uuid
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from orchestrator.flows.accounts import operate
from tests.entry.http_site import usable, work
from tests.entry.http_world import OFFER, World, public_key, world
from tests.entry.test_http_claims import mint


@pytest.fixture
def tenure(tmp_path: Path) -> Iterator[World]:
    """One of each test's own, as time passes in it."""
    with world(tmp_path / f"rescue-{uuid.uuid4().hex[:8]}") as made:
        yield made


def over(tenure: World, event: str, key: str | None = None) -> tuple[str, str]:
    """An account past its end, claimed with `key` before, and its link."""
    account, url = usable(tenure, event)
    if key is not None:
        assert mint(tenure, url, key).status_code == 200
    pass_time(tenure, OFFER.duration)
    work(tenure)
    assert tenure.get(f"/v1/accounts/{account}").json()["state"] == "FENCED"
    return account, url


def pass_time(tenure: World, by: timedelta) -> None:
    """For Tenure and its site alike."""
    tenure.clock.ahead += by
    site = tenure.ctx.sites.get("mem")
    with site.keeper.held() as there:  # type: ignore[attr-defined]
        there.offset = tenure.clock.ahead.total_seconds()


def test_the_key_that_claimed_gets_what_fetches(tenure: World) -> None:
    """The same answer again, another key 409; the answer says what it is for."""
    key = public_key()
    account, url = over(tenure, "fetch-1", key)
    first, again = mint(tenure, url, key), mint(tenure, url, key)
    assert first.status_code == 200, first.text
    assert first.json() == again.json()
    assert first.json()["fetch_only"] is True
    assert first.json()["command"].startswith("sftp -P ")
    assert f"tenure-{account}-rescue-cert.pub" in first.json()["command"]
    answer = mint(tenure, url, public_key())
    assert (answer.status_code, answer.json()["code"]) == (409, "key_taken")


@pytest.mark.parametrize(("lang", "says", "then"), [
    ("en", "Fetch your results until", "Everything at once"), ("zh", "可取回文件，截止", "一次取回全部文件")])
def test_the_page_tells_how_to_fetch(tenure: World, lang: str, says: str, then: str) -> None:
    """First that a key is wanted, then the commands; the files to save are those of fetching."""
    account, url = over(tenure, f"page-{lang}")
    before = tenure.client.get(url, params={"lang": lang}).text
    assert says in before
    assert "<textarea" in before
    assert tenure.client.post(url, params={"lang": lang}, data={"ssh_public_key": public_key()}).status_code == 200
    page = tenure.client.get(url, params={"lang": lang}).text
    assert then in page
    assert "sftp -P 22" in page
    assert "sftp -r -P 22" in page
    assert "<textarea" not in page
    file = tenure.client.get(f"{url}/certificate")
    assert file.headers["content-disposition"] == f'attachment; filename="tenure-{account}-rescue-cert.pub"'
    assert tenure.client.get(f"{url}/hosts").status_code == 200


def test_after_grace_nothing_is_offered(tenure: World) -> None:
    """Neither on the page nor to a program, also while a hold keeps the files."""
    key = public_key()
    account, url = over(tenure, "late-grace", key)
    assert mint(tenure, url, key).status_code == 200
    operate.hold(tenure.ctx, True, account=account, actor="test")
    pass_time(tenure, OFFER.grace)
    answer = mint(tenure, url, key)
    assert (answer.status_code, answer.json()["code"]) == (409, "no_rescue")
    assert "sftp" not in tenure.client.get(url).text


def test_an_operators_fence_offers_nothing(tenure: World) -> None:
    """Before the end the page says that the account is paused."""
    account, url = usable(tenure, "paused-1")
    tenure.act(f"/v1/accounts/{account}/fence", {})
    assert "Fetch your results" not in tenure.client.get(url).text
