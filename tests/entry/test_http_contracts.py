"""A contract through its doors: asked for at the claim page, read and signed at its own link."""

import hashlib
import re
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from html.parser import HTMLParser

import pytest

from orchestrator.flows.money import contract
from orchestrator.flows.vouchers import entitlement
from orchestrator.lifecycle.money import to_fen
from orchestrator.lifecycle.paper import Paper
from orchestrator.lifecycle.times import zone
from orchestrator.store import journal, price_lists, programmes
from tests.entry.http_site import usable, work
from tests.entry.http_world import World
from tests.flows.scheme import example

DAY = timedelta(days=1)


class Visible(HTMLParser):
    """The text that a reader sees."""

    def __init__(self) -> None:
        super().__init__()
        self.words: list[str] = []
        self._hidden = 0

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self._hidden += tag == "style"

    def handle_endtag(self, tag: str) -> None:
        self._hidden -= tag == "style"

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.words.append(data.strip())


def text(html: str) -> str:
    parser = Visible()
    parser.feed(html)
    return " ".join(filter(None, parser.words))


@pytest.fixture
def priced(tenure: World) -> World:
    with tenure.ctx.store.write() as tx:
        price_lists.put(tx, replace(example("nanjing-prices.yaml").prices[0]))
    return tenure


def drafted(tenure: World, account: str) -> tuple[Paper, str]:
    """A draft, and its link at this server."""
    paper = contract.draft(tenure.ctx, account, "A", tenure.clock() + 90 * DAY, actor="test")
    return paper, contract.signing_url(tenure.ctx, paper.id).replace("https://tenure.example", tenure.url)


def test_a_claim_page_without_prices_says_nothing_of_contracts(tenure: World) -> None:
    """As before there were any."""
    _, link = usable(tenure, "contract-none")
    assert "contract" not in text(tenure.client.get(link, params={"lang": "en"}).text)


@pytest.mark.parametrize(("lang", "asks", "asked"), [("en", "Ask for a contract", "You have asked for a contract"),
                                                     ("zh", "申请租用合同", "您已申请租用合同")])
def test_a_holder_asks_at_the_claim_page(priced: World, lang: str, asks: str, asked: str) -> None:
    """The button, then what was asked; then the draft's link."""
    account, link = usable(priced, f"contract-wish-{lang}")
    assert asks in text(priced.client.get(link, params={"lang": lang}).text)
    answer = priced.client.post(f"{link}/contract?lang={lang}", data={"days": "90"}, follow_redirects=True)
    assert (answer.status_code, asked in text(answer.text)) == (200, True)
    _, signing = drafted(priced, account)
    assert signing.removeprefix(priced.url) in priced.client.get(link, params={"lang": lang}).text


@pytest.mark.parametrize("days", ["0", "-1", "x", "99999999999", "", "3661", "٣"])
def test_strange_days_are_refused(priced: World, days: str) -> None:
    """400, and nothing is asked for: a page that says so for people, a problem for programs."""
    _, link = usable(priced, f"contract-days-{days.encode().hex()}")
    for lang, said in (("en", "A contract is for 1 to 3660 days"), ("zh", "租用天数须为 1 至 3660 天")):
        answer = priced.client.post(f"{link}/contract", params={"lang": lang}, data={"days": days})
        assert (answer.status_code, said in text(answer.text)) == (400, True)
        assert f'href="{link.removeprefix(priced.url)}?lang=' in answer.text
    problem = priced.client.post(f"{link}/contract", json={"days": days})
    assert (problem.status_code, problem.headers["content-type"]) == (400, "application/problem+json")


def test_a_contract_that_cannot_be_asked_for_any_more_is_a_page(priced: World) -> None:
    """The account was fenced while the page was open; its data is kept."""
    account, link = usable(priced, "contract-late")
    priced.act(f"/v1/accounts/{account}/fence", {})
    answer = priced.client.post(f"{link}/contract?lang=en", data={"days": "90"})
    assert (answer.status_code, "A contract cannot be asked for here" in text(answer.text)) == (409, True)


def test_the_claim_page_names_the_contract_and_its_price(priced: World) -> None:
    """Once it is in force; its end stands there as the account's."""
    account, link = usable(priced, "contract-named")
    paper, _ = drafted(priced, account)
    contract.sign(priced.ctx, paper.id, paper.digest or "", actor="holder")
    work(priced)
    ends = f"{paper.ends_at.astimezone(zone()):%Y-%m-%d %H:%M:%S}"
    for lang, price in (("en", f"{paper.price:,.2f} yuan"), ("zh", f"{paper.price:,.2f} 元")):
        page = text(priced.client.get(link, params={"lang": lang}).text)
        assert (f"{paper.id} · {price}" in page, ends in page) == (True, True)


def test_the_link_shows_document_and_price_and_reading_changes_nothing(priced: World) -> None:
    """However often a mail scanner opens it."""
    account, _ = usable(priced, "contract-read")
    paper, link = drafted(priced, account)
    for _ in range(3):
        page = priced.client.get(link, params={"lang": "en"})
        said = priced.client.get(f"{link}/document")
    assert f"{paper.price:,.2f} yuan" in text(page.text)
    assert ((paper.digest or "-") in page.text, "算力租用合同" in said.text) == (True, True)
    with priced.ctx.store.read() as tx:
        assert contract.stage_of(tx, paper) == "draft"


def test_a_holder_signs_and_the_account_is_converted(priced: World) -> None:
    """With the tick and the hash of what was shown; then the page says that it is in force."""
    account, _ = usable(priced, "contract-sign")
    paper, link = drafted(priced, account)
    assert priced.client.post(link, data={"document": paper.digest}).status_code == 400
    assert priced.client.post(link, data={"document": "0" * 64, "agreed": "yes"}).status_code == 409
    answer = priced.client.post(f"{link}?lang=en", data={"document": paper.digest, "agreed": "yes"},
                                follow_redirects=True)
    assert "Signed. Your account is being converted" in text(answer.text)
    work(priced)
    assert "生效中" in text(priced.client.get(link, params={"lang": "zh"}).text)
    assert priced.get(f"/v1/accounts/{account}").json()["state"] == "CONTRACTED"


def test_the_signing_page_says_what_each_discount_takes_off(priced: World) -> None:
    """As the document does."""
    account, _ = usable(priced, "contract-steps")
    paper, link = drafted(priced, account)
    base, page = Decimal(paper.terms["base"]), text(priced.client.get(link, params={"lang": "en"}).text)
    off = to_fen(base * Decimal(paper.terms["class_discount"]))
    assert f"(A) 60 % {-off:,.2f} yuan" in page
    assert f"{paper.price - base + off:,.2f} yuan" in page


def test_a_contract_that_was_signed_on_paper_shows_both_hashes(priced: World) -> None:
    """The scan's, and that of the document at the link: each says which it is."""
    account, _ = usable(priced, "contract-paper")
    paper, link = drafted(priced, account)
    contract.sign(priced.ctx, paper.id, "ab" * 32, actor="cli:0")
    page = text(priced.client.get(link, params={"lang": "en"}).text)
    document = hashlib.sha256(priced.client.get(f"{link}/document").content).hexdigest()
    assert f"to read or print · SHA-256 {document}" in page
    assert f"Of the signed paper: SHA-256 {'ab' * 32}" in page


def test_an_unknown_link_is_404_in_both_languages(priced: World) -> None:
    """Nothing tells whether such a contract exists."""
    for path in ("/contract/C-a-1.x", "/contract/C-a-1.x/document"):
        assert priced.client.get(path).status_code == 404
    assert "合同不存在" in priced.client.get("/contract/x.y", params={"lang": "zh"}).text


def test_the_pages_load_nothing_from_elsewhere(priced: World) -> None:
    """No script, no font, no picture; the document is shown by its own page alone."""
    account, _ = usable(priced, "contract-csp")
    _, link = drafted(priced, account)
    for address, ancestors in ((link, "'none'"), (f"{link}/document", "'self'")):
        answer = priced.client.get(address)
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert f"frame-ancestors {ancestors}" in policy
        assert not re.search(r"<script|src=\"http|url\(|@import", answer.text)


def test_a_cash_voucher_comes_off_a_contract_through_the_door(priced: World) -> None:
    """Without one it is 422 and says so; with one the answer names the contract's account; again: the same answer."""
    of = example("wuxi-cash.yaml").programmes[0]
    with priced.ctx.store.write() as tx:
        programmes.put(tx, of)
        codes = ["CASH-0001", "CASH-0002"]
        entitlement.issue(tx, priced.platform, of, codes, Decimal("100.00"), priced.clock() - DAY, priced.clock() + DAY)
    holder = {"id": "u-1", "name": "某大学", "kind": "university", "email": "lab@example.com"}
    bare = priced.redeem(codes[0], "cash-1", holder=holder)
    assert (bare.status_code, bare.json()["code"]) == (422, "contract_needed")
    assert "is taken off a contract's bill" in bare.json()["detail"]
    account, _ = usable(priced, "contract-cash")
    paper, link = drafted(priced, account)
    priced.client.post(link, data={"document": paper.digest, "agreed": "yes"})
    answers = [priced.redeem(codes[0], "cash-1", holder=holder, account=account) for _ in range(2)]
    assert [(answer.status_code, answer.json()["account"]) for answer in answers] == [(202, account)] * 2
    assert (answers[0].content == answers[1].content, answers[0].json()["claim_url"]) == (True, None)
    firm = {"id": "u-8", "name": "某某公司", "kind": "firm", "email": "a@example.com", "entity": "91350100M000100Y43"}
    other = priced.redeem(codes[1], "cash-2", holder=firm, account=account)
    assert (other.status_code, other.json()["code"]) == (422, "not_your_contract")
    assert "u-1" not in other.text
    assert f"{paper.price - 100:,.2f} yuan" in text(priced.client.get(link, params={"lang": "en"}).text)


def test_a_cash_voucher_tells_nothing_of_another_senders_account(priced: World) -> None:
    """404, word for word as for one that is not there; who asked stands in the journal."""
    of = example("wuxi-cash.yaml").programmes[0]
    now = priced.clock()
    with priced.ctx.store.write() as tx:
        programmes.put(tx, of)
        entitlement.issue(tx, priced.other, of, ["OTHERS-1"], Decimal("5.00"), now - DAY, now + DAY)
    account, _ = usable(priced, "contract-theirs")
    said = {id: priced.redeem("OTHERS-1", f"cash-{id}", account=id, secret=priced.other_secret, sender="other")
            for id in (account, "a234567abc")}
    assert {id: (one.status_code, one.json()["detail"]) for id, one in said.items()} == {
        id: (404, f"there is no account {id!r}") for id in said}
    with priced.ctx.store.read() as tx:
        assert "not_yours" in str([entry.facts for entry in journal.list_(tx, subject=account)])


def test_what_a_voucher_is_worth_is_not_a_code_senders_to_say(tenure: World) -> None:
    """400, as for hours; and money is never a number."""
    assert tenure.redeem(tenure.codes()[0], "worth-1", amount="5.00").status_code == 400
    assert tenure.redeem(tenure.codes()[0], "worth-2", amount=5.0).status_code == 400
