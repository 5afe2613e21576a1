"""The links in mails, followed as their reader would: to the real doors."""

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from email.message import EmailMessage
from pathlib import Path

import pytest

from orchestrator.flows.context import Context
from orchestrator.flows.delivery.notify import Notifier
from orchestrator.flows.money import contract
from orchestrator.store import price_lists
from tests.entry.http_site import usable, work
from tests.entry.http_world import World, public_key, world
from tests.flows import postoffice
from tests.flows.postoffice import PostOffice
from tests.flows.scheme import example


@pytest.fixture
def post(tmp_path: Path) -> Iterator[PostOffice]:
    """A mail server."""
    with postoffice.office(tmp_path / "post") as made:
        yield made


@pytest.fixture
def tenure(post: PostOffice, tmp_path: Path) -> Iterator[World]:
    """A Tenure that writes to holders through it."""
    with world(tmp_path / "home", mail=post.settings) as made:
        yield made


def deliver(ctx: Context) -> None:
    notifier = Notifier(ctx)
    notifier.tick(ctx.clock())
    assert notifier.idle(60)


def about(post: PostOffice, event: str) -> EmailMessage:
    return [made for made in post.box.mails if made["Tenure-Event"] == event][-1]


def link(tenure: World, made: EmailMessage, form: str = "html") -> str:
    """The one link in it, at this server; the HTML's is the same as the text's."""
    part = made.get_body((form,))
    assert part is not None
    [found] = set(re.findall(r"https://tenure\.example/[^\s\"<]+", str(part.get_content())))
    return str(found).replace("https://tenure.example", tenure.url)


def test_the_claim_link_of_a_mail_claims(tenure: World, post: PostOffice) -> None:
    """From the mail to a certificate; opening it changes nothing."""
    account, _ = usable(tenure, "mail-claim")
    deliver(tenure.ctx)
    found = {link(tenure, about(post, event), form)
             for event in ("account.redeemed", "account.usable") for form in ("plain", "html")}
    assert len(found) == 1
    url = found.pop()
    page = tenure.client.get(url, params={"lang": "zh"})
    assert (page.status_code, account in page.text) == (200, True)
    claimed = tenure.client.post(url, json={"ssh_public_key": public_key()})
    assert (claimed.status_code, claimed.json()["account"]) == (200, account)


def test_the_signing_link_of_a_mail_signs(tenure: World, post: PostOffice) -> None:
    """The document and its price, a signature, and then a mail that it is in force."""
    with tenure.ctx.store.write() as tx:
        price_lists.put(tx, replace(example("nanjing-prices.yaml").prices[0]))
    account, _ = usable(tenure, "mail-sign")
    paper = contract.draft(tenure.ctx, account, "A", tenure.clock() + timedelta(days=90), actor="test")
    deliver(tenure.ctx)
    url = link(tenure, about(post, "contract.drafted"))
    assert f"{paper.price:,.2f}" in tenure.client.get(url).text
    signed = tenure.client.post(url, data={"document": str(paper.digest), "agreed": "yes"}, follow_redirects=True)
    assert signed.status_code == 200, signed.text
    work(tenure)
    deliver(tenure.ctx)
    assert paper.id in about(post, "contract.signed")["Subject"]
    assert "in force" in about(post, "contract.active")["Subject"]


def test_mail_links_are_nobody_elses(tenure: World, post: PostOffice) -> None:
    """Each holder's mail has their own account's link alone."""
    first, _ = usable(tenure, "mail-own-1")
    second, _ = usable(tenure, "mail-own-2")
    deliver(tenure.ctx)
    for made in post.box.mails:
        text = "".join(part.get_content() for part in made.walk() if part.get_content_maintype() == "text")
        assert [id in text for id in (first, second)] == [made["Tenure-Account"] == id for id in (first, second)]
