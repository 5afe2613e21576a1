"""`tenure outbox`, `tenure mail`, `tenure sender mail`, and what `tenure doctor` says of the mail server."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import yaml

from orchestrator.app import App
from orchestrator.flows.delivery.notify import Notifier
from orchestrator.store import journal, outbox
from tests.entry import cli_home
from tests.entry.cli_home import Home
from tests.entry.test_cli_serve import process
from tests.flows import postoffice
from tests.flows.postoffice import PASSWORD, PostOffice


@pytest.fixture
def post(tmp_path: Path) -> Iterator[PostOffice]:
    with postoffice.office(tmp_path / "post") as made:
        yield made


@pytest.fixture
def home(tmp_path: Path, post: PostOffice) -> Home:
    """A home whose settings name the mail server, as its operator writes them."""
    made = cli_home.made(tmp_path)
    settings = post.settings
    password = made.folder / "smtp-password"
    password.write_text(PASSWORD)
    password.chmod(0o600)
    with (made.folder / "tenure.yaml").open("a") as file:
        yaml.safe_dump({"mail": {"host": settings.host, "port": settings.port, "tls": "starttls", "user": settings.user,
                                 "password_file": "smtp-password", "ca_file": settings.ca_file,
                                 "sender": settings.sender}}, file)
    return made


def deliver(home: Home) -> None:
    with App.open(home.folder) as app:
        notifier = Notifier(app.ctx)
        notifier.tick(app.ctx.clock())
        assert notifier.idle(60)


def test_the_list_shows_what_waits_and_what_was_sent(home: Home, post: PostOffice) -> None:
    """By channel, type and state; nobody's name or address is in it."""
    account = home.redeemed()
    said = home("outbox", "list", "--account", account, "--json").json
    assert [(row["channel"], row["type"], row["state"]) for row in said] == [
        ("mail", "account.redeemed", "waiting"), ("callback", "account.redeemed", "waiting")]
    assert "lab@example" not in str(said)
    deliver(home)
    assert home("outbox", "list", "--unsent").err == "no messages\n"
    assert len(home("outbox", "list", "--channel", "mail", "--sender", "portal", "--json").json) == 1
    assert post.box.to == ["lab@example.edu.cn"]


def test_one_named_message_is_sent_again(home: Home, post: PostOffice) -> None:
    """Without a question, under its own id; the journal says who and why."""
    account = home.redeemed()
    deliver(home)
    [row] = home("outbox", "list", "--channel", "mail", "--json").json
    said = home("outbox", "resend", row["id"], "--why", "the holder lost it", "--json")
    assert (said.code, said.json) == (0, [{"id": row["id"], "before": "sent"}])
    deliver(home)
    assert [made["Message-ID"] for made in post.box.mails] == [f"<{row['id']}@tenure.example>"] * 2
    with App.open(home.folder) as app, app.ctx.store.read() as tx:
        entry = next(one for one in journal.list_(tx, subject=account) if one.action == "outbox.resent")
    assert (entry.actor.split(":")[0], entry.why) == ("cli", "the holder lost it")


def test_many_are_shown_and_asked_for_first(home: Home) -> None:
    """Never more than allowed, never all by omission; without a terminal nobody can say yes."""
    home.redeemed()
    home.redeemed()
    assert home("outbox", "resend").code == 2
    assert "more than 1 messages fit" in home("outbox", "resend", "--channel", "mail", "--max", "1").err
    dry = home("outbox", "resend", "--channel", "mail", "--dry-run")
    assert "2 messages would be sent again" in dry.out
    assert dry.err.count("account.redeemed") == 2
    assert "Nobody is there to ask" in home("outbox", "resend", "--channel", "mail").err
    assert home("outbox", "resend", "--channel", "mail", "--yes").code == 0
    assert home("outbox", "resend", "--given-up").out == "no message fits\n"


@pytest.mark.parametrize(("words", "message"), [
    (("resend", "msg_none"), "no such message"), (("list", "--channel", "fax"), "callback or mail"),
    (("list", "--sender", "nobody"), "no sender")])
def test_what_is_not_there_is_said(home: Home, words: tuple[str, ...], message: str) -> None:
    """In one line."""
    said = home("outbox", *words)
    assert said.code in (1, 2)
    assert message in said.err


def test_what_was_given_up_is_found_and_sent_again(home: Home, post: PostOffice) -> None:
    """After days: by its state."""
    home.redeemed()
    with App.open(home.folder) as app, app.ctx.store.write() as tx:
        for message in outbox.find(tx, outbox.Filter()):
            outbox.later(tx, message.id, None if message.channel == "mail" else app.ctx.clock() + timedelta(days=1),
                         "x")
    [row] = home("outbox", "list", "--given-up", "--json").json
    assert (row["channel"], row["state"], row["error"]) == ("mail", "given up", "x")
    assert home("outbox", "resend", "--given-up", "--yes").code == 0
    deliver(home)
    assert post.box.to == ["lab@example.edu.cn"]


def test_a_test_mail_goes_where_it_is_told(home: Home, post: PostOffice) -> None:
    """At once, with its Message-ID; a refusal is exit code 1 or 2 and one line."""
    said = home("mail", "test", "ops@example.edu.cn", "--json")
    assert (said.code, post.box.to) == (0, ["ops@example.edu.cn"])
    assert said.json["message_id"] == post.box.mails[0]["Message-ID"]
    post.box.at_recipient["gone@example.edu.cn"] = ["550 5.1.1 no"]
    refused = home("mail", "test", "gone@example.edu.cn")
    assert (refused.code != 0, "550 5.1.1" in refused.err) == (True, True)
    assert home("mail", "test", "no address").code == 2


def test_without_settings_it_says_so(tmp_path: Path) -> None:
    """Mail is left out, not broken."""
    bare = cli_home.made(tmp_path)
    assert "no `mail:`" in bare("mail", "test", "ops@example.edu.cn").err
    said = {one["subject"]: one for one in bare("doctor", "--json").json}
    assert (said["mail"]["ok"], "holders get no mail" in said["mail"]["seen"]) == (True, True)


def test_doctor_tries_the_mail_server(home: Home, post: PostOffice) -> None:
    """Connects, checks its certificate, hands in the password; sends nothing."""
    found = {one["subject"]: one for one in home("doctor", "--json").json}["mail"]
    assert (found["ok"], found["seen"].endswith("(starttls, as tenure)")) == (True, True)
    (home.folder / "smtp-password").write_text("wrong")
    found = {one["subject"]: one for one in home("doctor", "--json").json}["mail"]
    assert (found["ok"], "535" in found["seen"]) == (False, True)
    assert post.box.asked == []


def test_a_sender_can_decline_mail_for_its_holders(home: Home) -> None:
    """And take it up again; the list shows it."""
    assert home("sender", "mail", "portal", "off").out == "holders of portal get no mail from us\n"
    assert home("sender", "list", "--json").json[0]["mail"] is False
    home.redeemed()
    assert home("outbox", "list", "--channel", "mail").err == "no messages\n"
    assert home("sender", "mail", "portal", "on").code == 0
    assert home("sender", "mail", "portal", "perhaps").code == 2


def test_without_a_worker_what_is_due_is_sent_by_hand(home: Home, post: PostOffice) -> None:
    """For cron; a second time there is nothing left."""
    home.redeemed()
    assert home("outbox", "send", "--json").json == {"tried": 2}
    assert home("outbox", "send").out.startswith("0 messages tried")
    assert post.box.to == ["lab@example.edu.cn"]


def test_a_worker_of_its_own_writes_to_the_holder(home: Home, post: PostOffice) -> None:
    """As in production: what one process redeems, another tells."""
    with process(home.folder, "worker"):
        home.redeemed()
        assert post.box.arrived.wait(60)
    assert post.box.to[0] == "lab@example.edu.cn"
