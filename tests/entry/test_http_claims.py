"""The claim: looking changes nothing, the first key wins, and the page tells the holder what to type."""

import base64
import re
import struct
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import httpx
import pytest

from orchestrator.store import claims
from tests.entry.http_site import usable, work
from tests.entry.http_world import World, public_key


def mint(tenure: World, url: str, key: str) -> httpx.Response:
    """Claim as a program does."""
    return tenure.client.post(url, json={"ssh_public_key": key})


def state_of(tenure: World, account: str) -> dict[str, Any]:
    """Everything that the store knows of the account and its claim."""
    with tenure.ctx.store.read() as tx:
        claim = claims.get(tx, account)
    found: dict[str, Any] = tenure.get(f"/v1/accounts/{account}").json()
    return found | {"claim": claim}


def test_looking_changes_nothing(tenure: World) -> None:
    """Attack 14: a mail scanner that opens the link, ten times, claims nothing."""
    account, url = usable(tenure, "look-1")
    before = state_of(tenure, account)
    seen = [tenure.client.get(url).status_code for _ in range(10)]
    seen += [tenure.client.get(f"{url}/certificate").status_code, tenure.client.head(url).status_code]
    assert seen == [200] * 10 + [404, 405]
    assert state_of(tenure, account) == before


def test_the_same_key_gets_the_same_answer(tenure: World) -> None:
    """Attack 14: asked twice, the very same certificate."""
    _, url = usable(tenure, "same-1")
    key = public_key()
    first, second = mint(tenure, url, key), mint(tenure, url, key)
    assert first.status_code == 200
    assert first.content == second.content


def test_another_key_is_409(tenure: World) -> None:
    """Attack 14: whoever comes second with another key is refused, on the page as well."""
    _, url = usable(tenure, "second-1")
    assert mint(tenure, url, public_key()).status_code == 200
    answer = mint(tenure, url, public_key())
    assert (answer.status_code, answer.json()["code"]) == (409, "key_taken")
    page = tenure.client.post(url, data={"ssh_public_key": public_key()})
    assert page.status_code == 409
    assert "already claimed with another key" in page.text


def test_twenty_keys_at_once_and_one_wins(tenure: World) -> None:
    """Attack 14: in parallel, exactly one key gets in."""
    _, url = usable(tenure, "parallel-1")
    with httpx.Client(timeout=60) as client, ThreadPoolExecutor(20) as pool:
        seen = list(pool.map(lambda key: client.post(url, json={"ssh_public_key": key}).status_code,
                             [public_key() for _ in range(20)]))
    assert sorted(seen) == [200] + [409] * 19


def test_one_key_twenty_times_at_once_is_one_answer(tenure: World) -> None:
    """Attack 14: a double click, and more of them."""
    _, url = usable(tenure, "parallel-2")
    key = public_key()
    with httpx.Client(timeout=60) as client, ThreadPoolExecutor(20) as pool:
        seen = list(pool.map(lambda _: client.post(url, json={"ssh_public_key": key}), range(20)))
    assert {(one.status_code, one.text) for one in seen} == {(200, seen[0].text)}


def test_too_early_is_409_with_when_to_come_back(tenure: World) -> None:
    """Before the account is usable nothing is minted."""
    answer = tenure.redeem(tenure.codes()[0], "early-1").json()
    refused = mint(tenure, answer["claim_url"].replace("https://tenure.example", tenure.url), public_key())
    assert (refused.status_code, refused.json()["code"]) == (409, "not_ready")
    assert "retry-after" in refused.headers


def test_too_late_is_409(tenure: World) -> None:
    """Attack 14: after the end the link opens nothing."""
    account, url = usable(tenure, "late-1")
    tenure.act(f"/v1/accounts/{account}/fence", {})
    answer = mint(tenure, url, public_key())
    assert (answer.status_code, answer.json()["code"]) == (409, "fenced")


@pytest.mark.parametrize("token", ["nothing", "aaaaaaaaaa.AAAA", "%00", "..%2f..%2fetc", "a" * 128, "😀", "%ff%fe"])
def test_a_link_that_is_not_ours_is_404(tenure: World, token: str) -> None:
    """Guessing tells nothing: a page for people, a problem for programs."""
    page = tenure.client.get(f"{tenure.url}/claim/{token}")
    problem = tenure.client.post(f"{tenure.url}/claim/{token}", json={"ssh_public_key": public_key()})
    assert (page.status_code, problem.status_code) == (404, 404)


def test_the_link_of_one_account_with_another_ones_secret_is_404(tenure: World) -> None:
    """The token's secret part belongs to its account."""
    _, one = usable(tenure, "swap-1")
    _, two = usable(tenure, "swap-2")
    mixed = one[:one.rindex(".")] + two[two.rindex("."):]
    assert tenure.client.get(mixed).status_code == 404


@pytest.mark.parametrize("key", [
    "", "hello", "ssh-ed25519 AAAA", "ssh-ed25519 " + base64.b64encode(b"x" * 51).decode(),
    'command="sh" ' + public_key(), public_key() + "\n" + public_key(), "-----BEGIN OPENSSH PRIVATE KEY-----",
    "ssh-dss " + base64.b64encode(struct.pack(">I", 7) + b"ssh-dss").decode(), public_key()[:60],
    "ssh-rsa " + public_key().split()[1]], ids=lambda key: key[:12])
def test_what_is_not_a_public_key_is_400(tenure: World, key: str) -> None:
    """One line of one key without options, or nothing."""
    _, url = usable(tenure, f"key-{abs(hash(key))}")
    form = tenure.client.post(url, data={"ssh_public_key": key})
    assert mint(tenure, url, key).status_code == 400
    assert form.status_code == 400
    assert form.headers["content-type"].startswith("text/html")


@pytest.mark.parametrize(("lang", "said"), [
    ("en", "Paste your SSH public key first."), ("zh", "请先粘贴您的 SSH 公钥。")])
def test_an_empty_key_is_asked_for_in_the_readers_language(tenure: World, lang: str, said: str) -> None:
    """And nothing of it in another one."""
    _, url = usable(tenure, f"empty-{lang}")
    for key in ("", "  "):
        page = tenure.client.post(url, params={"lang": lang}, data={"ssh_public_key": key})
        assert (page.status_code, said in page.text, "Field required" in page.text) == (400, True, False)


def test_the_page_shows_the_exact_command(tenure: World) -> None:
    """After the claim: what to save, the ssh command with port and login, how to run a container."""
    account, url = usable(tenure, "page-1")
    page = tenure.client.post(url, data={"ssh_public_key": public_key()})
    got = tenure.client.get(f"{url}/certificate").text
    assert page.status_code == 200
    assert (f"ssh -p 22 -i ~/.ssh/id_ed25519 -o IdentitiesOnly=yes -o CertificateFile=~/.ssh/tenure-{account}-cert.pub"
            f" -o UserKnownHostsFile=~/.ssh/tenure-{account}-hosts tn-{account}@memory.invalid") in page.text
    assert got.strip() in page.text
    assert "container run -d --name demo docker.io/library/alpine:3" in page.text
    assert tenure.client.get(f"{url}/hosts").text.startswith("memory.invalid ssh-ed25519 ")


@pytest.mark.parametrize(("accept", "query", "words"), [
    ("zh-CN,zh;q=0.9,en;q=0.8", "", "剩余时间"), ("en-GB,en;q=0.9", "", "Time left"), ("fr", "", "Time left"),
    ("en", "?lang=zh", "剩余时间"), ("zh", "?lang=en", "Time left")])
def test_the_page_speaks_the_readers_language(tenure: World, accept: str, query: str, words: str) -> None:
    """Chinese or English, by browser or by choice."""
    _, url = usable(tenure, f"lang-{abs(hash((accept, query)))}")
    assert words in tenure.client.get(url + query, headers={"accept-language": accept}).text


def test_the_page_needs_no_script_and_loads_nothing(tenure: World) -> None:
    """Its policy allows its own style sheet and its own form, and it is kept nowhere."""
    _, url = usable(tenure, "policy-1")
    page = tenure.client.get(url)
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src" not in policy
    assert "frame-ancestors 'none'" in policy
    assert (page.headers["cache-control"], page.headers["referrer-policy"]) == ("no-store", "no-referrer")
    assert not re.search(r"<script|\son\w+=|src=|@import|url\(", page.text)


def test_after_an_extension_the_same_key_gets_a_longer_certificate(tenure: World) -> None:
    """The certificate ends with the lease, so a later end needs a new one."""
    account, url = usable(tenure, "renew-1")
    key = public_key()
    first = mint(tenure, url, key).json()
    until = (tenure.clock() + timedelta(days=3)).isoformat()
    assert tenure.act(f"/v1/accounts/{account}/extend", {"ends_at": until}).status_code == 200
    second = mint(tenure, url, key).json()
    assert second["expires"] > first["expires"]


def test_a_key_that_came_with_the_redemption_is_the_only_one(tenure: World) -> None:
    """The link alone opens nothing for anybody else then."""
    key = public_key()
    answer = tenure.redeem(tenure.codes()[0], "pinned-1", ssh_public_key=key).json()
    work(tenure)
    url = answer["claim_url"].replace("https://tenure.example", tenure.url)
    assert [mint(tenure, url, public_key()).status_code, mint(tenure, url, key).status_code] == [409, 200]


def test_a_flood_of_claims_is_429(tenure: World) -> None:
    """Each mint is work at the site: one link cannot ask for any number of them."""
    _, url = usable(tenure, "flood-1")
    seen = [mint(tenure, url, "x").status_code for _ in range(30)]
    assert set(seen) == {400, 429}
