"""I8: whatever became of accounts in whole lives stands in the journal, with who did it."""

from orchestrator.lifecycle.account import State
from orchestrator.store import journal
from tests.flows import life
from tests.flows.town import Town

ROWS = {State.REQUESTED: "account.requested", State.PROVISIONING: "account.provisioning",
        State.ACTIVE: "account.usable", State.FENCED: "account.fenced", State.CONTRACTED: "account.converted",
        State.RECLAIMING: "account.reclaiming", State.RECLAIMED: "account.reclaimed", State.FAILED: "account.failed"}
"""The row that says that an account came to be in a state."""
WHO = ("worker:", "sender:", "site:", "holder", "test")


def test_every_state_has_its_row() -> None:
    """A new state needs one."""
    assert set(ROWS) == set(State)


def test_whole_lives_stand_in_the_journal(town: Town) -> None:
    """Every state that accounts were in was written down, in order; every row says who."""
    life.everything(town, lambda: None)
    with town.store.read() as tx:
        rows = journal.list_(tx, limit=10_000)
    assert set(ROWS.values()) <= {row.action for row in rows}
    assert [row for row in rows if not row.actor.startswith(WHO)] == []
    for record in town.all():
        seen = [row.action for row in reversed(rows) if row.subject == record.id]
        assert seen[0] == "account.requested"
        # What was cancelled before it began never was anywhere, and is done with at once.
        assert {ROWS[record.account.state], "booking.cancelled"} & set(seen)
        if "account.usable" in seen:
            assert seen.index("account.requested") < seen.index("account.provisioning") < seen.index("account.usable")
