"""`GET /v1/outbox`: what was told, to those who may know."""

import pytest

from orchestrator.store import outbox
from tests.entry.http_site import usable
from tests.entry.http_world import World


def test_operators_see_what_waits_and_why(tenure: World) -> None:
    """By account, channel, type and state."""
    account, _ = usable(tenure, "outbox-1")
    with tenure.ctx.store.write() as tx:
        [mail] = [outbox.put(tx, tenure.platform, "account.usable", account, {}, tenure.clock(), "mail")]
        outbox.later(tx, mail, None, "the mail server's answer to the addressee was 550 5.1.1")
    found = tenure.get("/v1/outbox", account=account).json()["messages"]
    assert [(one["channel"], one["type"]) for one in found] == [
        ("mail", "account.usable"), ("callback", "account.usable"), ("callback", "account.redeemed")]
    [given_up] = tenure.get("/v1/outbox", account=account, given_up=True).json()["messages"]
    assert (given_up["id"], given_up["state"], given_up["error"]) == (
        mail, "given up", "the mail server's answer to the addressee was 550 5.1.1")


def test_a_sender_sees_its_own_and_no_mail_servers_answers(tenure: World) -> None:
    """Another's token finds nothing, whatever it asks for."""
    account, _ = usable(tenure, "outbox-2")
    with tenure.ctx.store.write() as tx:
        mail = outbox.put(tx, tenure.platform, "account.usable", account, {}, tenure.clock(), "mail")
        outbox.later(tx, mail, None, "the mail server smtp.internal:587: refused")
    own = tenure.get("/v1/outbox", "sender", account=account).json()["messages"]
    assert [one["error"] for one in own if one["id"] == mail] == [None]
    assert tenure.get("/v1/outbox", "other", account=account).json() == {"messages": []}
    assert tenure.get("/v1/outbox", "other", sender="platform").json() == {"messages": []}


@pytest.mark.parametrize("bad", [{"channel": "fax"}, {"account": "../x"}, {"limit": "0"}, {"limit": "9999"},
                                 {"type": "a b"}, {"unknown": "1"}])
def test_bad_filters_are_refused(tenure: World, bad: dict[str, str]) -> None:
    """400, not an empty list."""
    assert tenure.get("/v1/outbox", **bad).status_code == 400


def test_without_a_token_nothing_is_shown(tenure: World) -> None:
    """401."""
    assert tenure.client.get("/v1/outbox").status_code == 401
