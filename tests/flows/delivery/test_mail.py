"""Mail to holders: what they read, in both languages, and that nothing of them is kept or told elsewhere."""

import logging
import re
from dataclasses import replace
from datetime import timedelta
from email.message import EmailMessage
from email.utils import parsedate_to_datetime

import pytest

from orchestrator.flows.accounts import operate
from orchestrator.flows.delivery import mail
from orchestrator.flows.endings import certificate
from orchestrator.flows.messages.tell import MAILED
from orchestrator.flows.vouchers.claim import claim_url
from orchestrator.lifecycle.holder import Holder
from orchestrator.store import holders, outbox, senders
from tests.flows import life
from tests.flows.mailing import deliver, mails, post
from tests.flows.postoffice import PostOffice
from tests.flows.town import HOLDER, Town

__all__ = ["post"]

CHINESE = re.compile("[\u4e00-\u9fff]")


def plain(made: EmailMessage) -> str:
    part = made.get_body(("plain",))
    assert part is not None
    return str(part.get_content()).replace("\r\n", "\n")


def page(made: EmailMessage) -> str:
    part = made.get_body(("html",))
    assert part is not None
    return str(part.get_content())


def last(post: PostOffice, event: str) -> EmailMessage:
    return [made for made in post.box.mails if made["Tenure-Event"] == event][-1]


def test_a_holder_is_written_to_when_it_is_redeemed_and_when_it_is_usable(town: Town, post: PostOffice) -> None:
    """Over TLS, with the password; to nobody else. The claim link is in both."""
    id = town.active()
    deliver(town)
    assert post.box.to == [HOLDER.email, HOLDER.email]
    assert {made["Tenure-Event"] for made in post.box.mails} == {"account.redeemed", "account.usable"}
    assert all(claim_url(town.ctx, id) in plain(made) for made in post.box.mails)


def test_everything_that_happens_is_written_in_both_languages(town: Town, post: PostOffice) -> None:
    """Each event of whole lives; Chinese first; the HTML says the same; nothing is left unfilled."""
    life.everything(town, lambda: deliver(town))
    assert {made["Tenure-Event"] for made in post.box.mails} == MAILED
    for made in post.box.mails:
        chinese, _, english = plain(made).partition("\n———\n")
        zh, _, en = made["Subject"].partition(" / ")
        for text in (chinese, zh):
            assert CHINESE.search(text), made["Tenure-Event"]
        for text in (english.replace(HOLDER.name, ""), en):
            assert text
            assert not CHINESE.search(text), made["Tenure-Event"]
        assert not re.search(r"\{\{|\{%|None|Undefined", plain(made) + page(made))
        assert '<div lang="zh">' in page(made)
        assert '<div lang="en"' in page(made)
    assert mails(town, given_up=True) == []


def test_the_headers_are_those_of_a_machines_mail(town: Town, post: PostOffice) -> None:
    """From whom, to whom, when it happened, about what; nobody's out-of-office answers it."""
    id = town.active()
    deliver(town)
    made, [row] = last(post, "account.usable"), mails(town, type="account.usable")
    assert (made["From"], made["To"]) == (
        "算力服务 Compute <compute@tenure.example>", f"{HOLDER.name} <{HOLDER.email}>")
    assert made["Message-ID"] == f"<{row.id}@tenure.example>"
    assert parsedate_to_datetime(made["Date"]) == row.at
    assert (made["Auto-Submitted"], made["List-Id"], made["Tenure-Account"]) == (
        "auto-generated", "<tenure.tenure.example>", id)


def test_instants_are_told_in_the_operators_time_zone(town: Town, post: PostOffice) -> None:
    """As on terminals and pages."""
    town.active()
    deliver(town)
    assert plain(last(post, "account.usable")).count("2027-03-02 16:00 (Asia/Shanghai)") == 2


def test_the_certificate_is_attached_and_verifies(town: Town, post: PostOffice) -> None:
    """Exactly the bytes that were signed, and the signature."""
    id = life.to_the_end(town, lambda: deliver(town))
    found = {part.get_filename(): part.get_content() for part in last(post, "account.reclaimed").iter_attachments()}
    assert certificate.verifies(found[f"{id}.certificate.json"], found[f"{id}.certificate.sig"],
                                certificate.public_key(town.store))


def test_the_drafts_link_and_price_are_in_the_mail_and_the_link_is_nowhere_else(town: Town, post: PostOffice) -> None:
    """Whoever has it can sign."""
    life.to_the_end(town, lambda: deliver(town))
    said = plain(last(post, "contract.drafted"))
    [link] = set(re.findall(r"https://tenure.example/contract/\S+", said))
    assert "5643.00" in said
    assert all(link.rsplit("/", 1)[1] not in str(row.data) for row in mails(town))


def test_a_repetition_is_the_same_mail(town: Town, post: PostOffice) -> None:
    """The same Message-ID and the same words, so that it is known for one."""
    town.active()
    [row] = mails(town, type="account.usable")
    assert town.ctx.settings.mail is not None
    written = [mail.compose(town.ctx.settings.mail, row, mail.Addressee("x", "x@example.com"),
                            {"claim_url": "https://x", "signing_url": None}, "Asia/Shanghai").as_bytes()
               for _ in range(2)]
    assert written[0] == written[1]


def test_without_a_mail_server_nothing_is_queued(town: Town) -> None:
    """It does not pile up for the day that there is one."""
    town.active()
    assert mails(town) == []
    assert town.told(town.active()) == ["account.redeemed", "account.usable"]


def test_a_sender_that_writes_itself_is_left_alone(town: Town, post: PostOffice) -> None:
    """Nothing is queued; what was queued before is not sent, and says why."""
    town.active()
    with town.store.write() as tx:
        senders.set_mail(tx, town.sender.id, False)
    before = len(mails(town))
    town.active()
    deliver(town)
    assert len(mails(town)) == before
    assert {row.error for row in mails(town, given_up=True)} == {"the sender wants no mail from us to its holders"}
    assert post.box.raw == []


def test_who_was_erased_is_not_written_to(town: Town, post: PostOffice) -> None:
    """Looked up when it is sent: dropped, and said so."""
    id = town.active()
    with town.store.write() as tx:
        holders.erase(tx, town.sender.id, HOLDER.id, town.clock.at)
    deliver(town)
    assert post.box.raw == []
    assert {(row.account, row.state, row.error) for row in mails(town)} == {
        (id, "given up", "the holder was erased: nobody is written to")}


def test_neither_name_nor_address_is_kept_or_logged(town: Town, post: PostOffice,
                                                    caplog: pytest.LogCaptureFixture) -> None:
    """Not even when the server's own words have them."""
    caplog.set_level(logging.DEBUG, "orchestrator")
    post.box.at_recipient[HOLDER.email] = [f"550 5.1.1 <{HOLDER.email}>: no such user lab"]
    town.active()
    deliver(town)
    rows = mails(town)
    assert {row.error for row in rows} == {"the mail server's answer to the addressee was 550 5.1.1"}
    told = str(rows) + "".join(record.getMessage() for record in caplog.records if record.name.startswith("orch"))
    assert HOLDER.email not in told
    assert HOLDER.name not in told


@pytest.mark.parametrize("name", ["某\r\nBcc: all@example.com", "x\nSubject: y", "a\x00b", "\u202eevil"])
def test_a_name_cannot_make_a_header(town: Town, post: PostOffice, name: str) -> None:
    """The doors refuse such names; should one have got in, it is left out of the headers."""
    town.active(holder=replace(HOLDER, name=name))
    deliver(town)
    assert [made["To"] for made in post.box.mails] == [HOLDER.email] * 2
    assert not any(made["Bcc"] for made in post.box.mails)
    assert post.box.to == [HOLDER.email] * 2


@pytest.mark.parametrize("address", ["lab@example.com\r\nRCPT TO:<all@example.com>", "lab@example.com>, <x@y.z", "lab"])
def test_an_address_that_is_none_is_given_up(town: Town, post: PostOffice, address: str) -> None:
    """And does not hold up the mail of others."""
    town.active(holder=Holder("h-2", HOLDER.name, HOLDER.kind, address))
    town.active()
    deliver(town)
    assert post.box.asked == [HOLDER.email] * 2
    assert len(mails(town, given_up=True)) == 2


def test_an_operators_fence_and_its_lift_are_told(town: Town, post: PostOffice) -> None:
    """Otherwise a holder who was locked out never learns that it is over."""
    id = town.active()
    operate.fence(town.ctx, id, actor="test")
    operate.unfence(town.ctx, id, actor="test")
    deliver(town)
    assert "fenced by an operator" in last(post, "account.fenced")["Subject"]
    assert "open again" in last(post, "account.unfenced")["Subject"]


def test_both_languages_have_every_mail() -> None:
    """And nothing else is in the texts."""
    assert set(mail.texts()) == MAILED | {"frame", mail.TEST}
    assert all(set(texts) == {"zh", "en"} for texts in mail.texts().values())


def test_a_resend_gets_the_time_of_a_new_message(town: Town, post: PostOffice) -> None:
    """Its pauses begin anew, its id stays."""
    town.active()
    at = town.clock.at + timedelta(days=30)
    with town.store.write() as tx:
        [before] = outbox.find(tx, outbox.Filter(type="account.usable", channel="mail"))
        outbox.sent(tx, before.id, town.clock.at)
        outbox.again(tx, [before.id], at)
    [row] = mails(town, type="account.usable")
    assert (row.id, row.since, row.due_at, row.sent_at) == (before.id, at, at, None)
