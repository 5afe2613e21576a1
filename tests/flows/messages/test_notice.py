"""A word from the operator: on the terminals, by callback and by mail, once for each time it is said."""

import pytest

from orchestrator.flows.messages.notice import Text, checked, notify
from orchestrator.lifecycle.errors import RuleError
from orchestrator.store import journal, outbox
from tests.flows.town import Town

SAID = Text("今晚维护", "Maintenance tonight")


def test_a_notice_is_shown_told_and_journalled(town: Town) -> None:
    """Both languages at the site and in the callback; the journal has who, why and what."""
    id = town.active()
    assert notify(town.ctx, id, SAID, actor="cli:7", why="a new kernel").shown
    tenancy = town.tenancy(id)
    assert tenancy is not None
    assert tenancy.notice == "今晚维护\nMaintenance tonight"
    with town.store.read() as tx:
        message = next(one for one in outbox.find(tx, outbox.Filter(account=id)) if one.type == "account.notice")
        row = next(one for one in journal.list_(tx, subject=id) if one.action == "account.noticed")
    assert (message.data["text_zh"], message.data["text_en"]) == (SAID.zh, SAID.en)
    assert (row.actor, row.why, row.facts["text_en"]) == ("cli:7", "a new kernel", SAID.en)


def test_a_warning_stays_below_a_notice(town: Town) -> None:
    """A site keeps one text; the end must not be forgotten over another one."""
    id = town.active()
    account = town.account(id)
    town.advance_to(account.warnings()[0])
    town.work()
    notify(town.ctx, id, SAID, actor="test")
    tenancy = town.tenancy(id)
    assert tenancy is not None
    assert tenancy.notice.startswith("今晚维护\nMaintenance tonight\n")
    assert "ends at" in tenancy.notice


def test_a_site_that_is_away_delays_no_message(town: Town) -> None:
    """The callback goes out; the answer says that no terminal has it."""
    id = town.active()
    with town.sites["north"].keeper.held() as world:
        world.faults.dead = True
    assert not notify(town.ctx, id, SAID, actor="test").shown
    assert town.told(id).count("account.notice") == 1


def test_an_account_that_is_gone_is_not_told(town: Town) -> None:
    """Nor one that never was."""
    id = town.active()
    town.advance(town.offer.duration)
    town.work()
    town.advance(town.offer.grace)
    town.work()
    for account, code in ((id, "too_late"), ("azzzzzzzzz", "not_found")):
        with pytest.raises(RuleError) as refused:
            notify(town.ctx, account, SAID, actor="test")
        assert refused.value.code == code


@pytest.mark.parametrize("bad", ["", "  \n", "x" * 501, "a\x1b[2J", "a\tb", "a\u202eb"])
def test_what_no_terminal_should_show_is_refused(bad: str) -> None:
    """Nothing, too much, and what would move the cursor."""
    for zh, en in ((bad, "fine"), ("好", bad)):
        with pytest.raises(RuleError, match="printable"):
            checked(zh, en)
