"""Mail servers that refuse, hang, lie dead for days or are not who they say: nothing is lost, and nobody else waits."""

import socket
from dataclasses import replace
from datetime import timedelta
from ipaddress import IPv4Network
from pathlib import Path

import pytest
from pydantic import ValidationError

from orchestrator.flows.delivery.notify import Notifier
from orchestrator.flows.delivery.resend import resend
from orchestrator.flows.delivery.smtp import ServerAway, Session
from orchestrator.settings import Callbacks, Mail
from orchestrator.store import journal, outbox, senders
from tests.dripping import dripping
from tests.flows import postoffice
from tests.flows.delivery.test_notify import Platform
from tests.flows.mailing import deliver, mails, post, use
from tests.flows.postoffice import PASSWORD, PostOffice
from tests.flows.town import HOLDER, Town

__all__ = ["post"]

OTHER = replace(HOLDER, id="h-2", email="other@example.com")
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def one(town: Town) -> str:
    """A mail that waits: an account was redeemed."""
    return town.redeem().account


def test_a_temporary_refusal_is_tried_again(town: Town, post: PostOffice) -> None:
    """451, then taken; the same Message-ID."""
    post.box.at_data = ["451 4.7.1 come back later", "421 4.3.2 shutting down", "250 2.0.0 taken"]
    one(town)
    said = []
    for _ in range(3):
        deliver(town)
        said.append(mails(town)[0].error)
        town.clock.at += HOUR
    [row] = mails(town)
    assert said == ["the mail server's answer to the mail was 451 4.7.1",
                    "the mail server's answer to the mail was 421 4.3.2", None]
    assert (row.state, post.box.mails[0]["Message-ID"]) == ("sent", f"<{row.id}@tenure.example>")


def test_pauses_grow(town: Town, post: PostOffice) -> None:
    """Half as long again as it has waited, at most six hours."""
    post.box.at_recipient[HOLDER.email] = ["450 4.2.1 mailbox busy"]
    one(town)
    pauses = []
    for _ in range(100):
        deliver(town)
        due = mails(town)[0].due_at
        if due is None:
            break
        pauses.append(due - town.clock.at)
        town.clock.at = due
    assert pauses == sorted(pauses)
    assert (pauses[0], pauses[-1]) == (timedelta(seconds=5), timedelta(hours=6))
    assert mails(town)[0].state == "given up"
    assert timedelta(days=5) < town.clock.at - mails(town)[0].at < timedelta(days=5, hours=7)


@pytest.mark.parametrize("answer", ["550 5.1.1 no such user", "552 5.3.4 too big", "554 refused"])
def test_a_refusal_for_good_is_not_tried_again(town: Town, post: PostOffice, answer: str) -> None:
    """Given up at once; the others' mail goes out."""
    post.box.at_recipient[HOLDER.email] = [answer]
    one(town)
    town.redeem(holder=OTHER)
    deliver(town)
    assert [row.state for row in mails(town)] == ["given up", "sent"]


def test_a_refusal_by_policy_is_tried_again(town: Town, post: PostOffice) -> None:
    """An operator can put it right: relaying, an unknown sender."""
    post.box.at_recipient[HOLDER.email] = ["554 5.7.1 relay access denied", "250 OK"]
    one(town)
    deliver(town)
    town.clock.at += HOUR
    deliver(town)
    assert mails(town)[0].state == "sent"


def test_one_recipient_who_is_refused_for_now_holds_up_nobody(town: Town, post: PostOffice) -> None:
    """In the same round, over the same connection."""
    post.box.at_recipient[HOLDER.email] = ["450 4.2.1 greylisted"]
    for _ in range(5):
        one(town)
    town.redeem(holder=OTHER)
    deliver(town)
    assert post.box.to == [OTHER.email]


def test_one_that_hangs_costs_its_connection_and_the_rest_wait_a_moment(town: Town, post: PostOffice) -> None:
    """The server's silence is bounded; whoever was behind it is tried again soon."""
    use(town, post.settings.model_copy(update={"timeout": timedelta(seconds=1)}))
    post.box.at_recipient[HOLDER.email] = [None]
    one(town)
    for _ in range(3):
        town.redeem(holder=OTHER)
    deliver(town)
    town.clock.at += timedelta(seconds=5)
    deliver(town)
    post.box.released.set()
    assert post.box.to == [OTHER.email] * 3
    assert [row.state for row in mails(town)] == ["waiting", "sent", "sent", "sent"]


@pytest.mark.parametrize("says", [b"220 " + b"x" * 10_000, b"220-x\r\n" * 10_000, b"220 x\r\n" + b"250-x\r\n" * 10_000],
                         ids=["line", "lines", "ehlo"])
def test_a_server_that_answers_a_little_at_a_time_is_left(town: Town, says: bytes) -> None:
    """No single wait is ever too long, and none of it ever ends."""
    with dripping(says) as port:
        use(town, Mail.model_validate({"host": "127.0.0.1", "port": port, "tls": "none",
                                       "sender": "compute@tenure.example", "timeout": timedelta(seconds=0.5)}))
        one(town)
        deliver(town)
    [row] = mails(town)
    assert (row.state, "took longer than 0.75 s in all" in (row.error or "")) == ("waiting", True)


def test_a_mail_server_that_hangs_holds_up_no_callback(town: Town, post: PostOffice) -> None:
    """The platform hears of it while the mail still hangs."""
    platform = Platform()
    post.box.at_recipient[HOLDER.email] = [None]
    settings = town.ctx.settings.model_copy(update={"callbacks": Callbacks(allow=(IPv4Network("127.0.0.0/8"),))})
    town.ctx = replace(town.ctx, settings=settings)
    with town.store.write() as tx:
        senders.set_callback(tx, town.sender.id, platform.url)
    one(town)
    use(town, post.settings.model_copy(update={"timeout": timedelta(seconds=30)}))
    notifier = Notifier(town.ctx)
    notifier.tick(town.clock.at)
    while not platform.heard:
        assert not notifier.idle(0.01)
    assert mails(town)[0].sent_at is None
    post.box.released.set()
    assert notifier.idle(60)
    platform.close()


def test_a_server_that_is_dead_for_days_gets_everything_when_it_is_back(town: Town, tmp_path: Path) -> None:
    """Four days; what was not even tried comes, too. Each once."""
    dead = postoffice.opened(tmp_path / "post")
    dead.close()
    use(town, dead.settings)
    for _ in range(30):
        one(town)
    for _ in range(40):
        deliver(town)
        town.clock.at += 4 * DAY / 40
    assert {row.state for row in mails(town)} == {"waiting"}
    back = postoffice.opened(tmp_path / "post", port=dead.settings.port_used())
    town.clock.at += timedelta(hours=7)
    for _ in range(4):
        deliver(town)
        town.clock.at += timedelta(seconds=10)
    back.close()
    assert {row.state for row in mails(town)} == {"sent"}
    assert len({made["Message-ID"] for made in back.box.mails}) == len(back.box.mails) == 30


def test_what_was_given_up_can_be_sent_again(town: Town, tmp_path: Path) -> None:
    """By an operator, under the same id, with new patience, in the journal."""
    dead = postoffice.opened(tmp_path / "post")
    dead.close()
    use(town, dead.settings)
    id = one(town)
    town.clock.at += 6 * DAY
    deliver(town)
    [row] = mails(town, given_up=True)
    resend(town.ctx, [row.id], actor="cli:0", why="server is back")
    deliver(town)
    assert mails(town)[0].state == "waiting"
    with postoffice.office(tmp_path / "new") as back:
        use(town, back.settings)
        town.clock.at += HOUR
        deliver(town)
        assert [made["Message-ID"] for made in back.box.mails] == [f"<{row.id}@tenure.example>"]
    with town.store.read() as tx:
        entry = next(entry for entry in journal.list_(tx, subject=id) if entry.action == "outbox.resent")
    assert (entry.actor, entry.why, entry.facts["message"]) == ("cli:0", "server is back", row.id)


def test_a_server_with_another_certificate_is_told_nothing(town: Town, post: PostOffice, tmp_path: Path) -> None:
    """Neither the password nor the mail."""
    with postoffice.office(tmp_path / "other") as other:
        use(town, post.settings.model_copy(update={"port": other.settings.port}))
        one(town)
        deliver(town)
        assert (other.box.asked, other.box.raw) == ([], [])
    assert "CERTIFICATE_VERIFY_FAILED" in str(mails(town)[0].error)
    assert mails(town)[0].state == "waiting"


def test_a_server_without_tls_is_told_nothing(town: Town, post: PostOffice, tmp_path: Path) -> None:
    """Somebody on the way may have taken STARTTLS out of its answer."""
    with postoffice.office(tmp_path / "plain", tls="none") as plain:
        use(town, post.settings.model_copy(update={"port": plain.settings.port}))
        one(town)
        deliver(town)
        assert (plain.box.asked, plain.box.raw) == ([], [])
    assert "STARTTLS" in str(mails(town)[0].error)


def test_a_wrong_password_waits_for_the_operator(town: Town, post: PostOffice, tmp_path: Path) -> None:
    """Put right in its file, without a restart; the error repeats nothing of it."""
    file = Path(post.settings.password_file)
    file.write_text("wrong horse")
    one(town)
    deliver(town)
    error = str(mails(town)[0].error)
    assert "answered 535 5.7.8 to user and password" in error
    assert "horse" not in error
    file.write_text(PASSWORD)
    town.clock.at += HOUR
    deliver(town)
    assert mails(town)[0].state == "sent"


def test_a_password_that_others_can_read_is_not_used(town: Town, post: PostOffice) -> None:
    """As with the keyring."""
    Path(post.settings.password_file).chmod(0o644)
    with pytest.raises(ServerAway, match="may be read by others"), Session(post.settings, town.ctx.home) as session:
        session.check()


def test_a_password_that_cannot_be_sent_is_said_without_it(town: Town, post: PostOffice) -> None:
    """SMTP's sign-in is ASCII."""
    Path(post.settings.password_file).write_text("pässword")
    with pytest.raises(ServerAway, match="plain ASCII") as caught, Session(post.settings, town.ctx.home) as session:
        session.check()
    assert "ssword" not in str(caught.value).replace("password", "")


@pytest.mark.parametrize("tls", ["implicit", "none"])
def test_other_ways_to_connect(town: Town, tmp_path: Path, tls: str) -> None:
    """TLS from the first byte; a relay beside us without any."""
    with postoffice.office(tmp_path / "post", tls) as office:
        use(town, office.settings)
        one(town)
        deliver(town)
        assert office.box.to == [HOLDER.email]


def test_settings_taken_away_leave_what_was_queued_waiting(town: Town, post: PostOffice) -> None:
    """And the reason is told."""
    one(town)
    use(town, None)
    deliver(town)
    assert (mails(town)[0].state, mails(town)[0].error) == (
        "waiting", "tenure.yaml had no `mail:` when this process started: set it, and restart the worker")


def test_a_connection_that_the_server_closed_is_made_anew(town: Town, post: PostOffice) -> None:
    """Servers close those that lie still."""
    one(town)
    town.redeem(holder=OTHER)
    with Session(post.settings, town.ctx.home) as session:
        session.check()
        assert session._smtp is not None
        assert isinstance(session._smtp.sock, socket.socket)
        session._smtp.sock.shutdown(socket.SHUT_RDWR)
        session.check()


@pytest.mark.parametrize("bad", [
    {"tls": "none", "user": "u", "password_file": "f"}, {"user": "u"}, {"password_file": "f"}, {"host": "a b"},
    {"sender": "x"}, {"sender": "a@b.cn\nBcc: c"}, {"sender_name": "a\nb"}, {"port": 0}, {"tls": "maybe"},
    {"password": "in the clear"}])
def test_bad_settings_are_refused(bad: dict[str, object]) -> None:
    """A password in the clear least of all."""
    with pytest.raises(ValidationError):
        Mail.model_validate({"host": "smtp.example.cn", "sender": "compute@example.cn"} | bad)


def test_a_fault_of_ours_in_one_mail_holds_up_no_other(town: Town, post: PostOffice) -> None:
    """A message without what its text needs; it is tried again, for after an upgrade."""
    id = one(town)
    with town.store.write() as tx:
        outbox.put(tx, town.sender.id, "contract.drafted", id, {}, town.clock.at - HOUR, "mail")
    deliver(town)
    assert [(row.state, row.error) for row in mails(town)] == [
        ("waiting", "a fault in Tenure (UndefinedError): its log has the traceback"), ("sent", None)]
