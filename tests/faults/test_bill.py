"""SIGKILL before and after a bill is closed: the next run closes it, or finds it so, and vouchers have paid once."""

import signal
from datetime import timedelta
from decimal import Decimal

import pytest

from orchestrator.flows.money import bill, contract
from orchestrator.lifecycle import times
from orchestrator.lifecycle.periods import Period, named
from orchestrator.store import journal, ledger, price_lists
from orchestrator.store.ledger import Line
from tests.faults.stage import Stage
from tests.flows.money.test_contract import PRICES

LATER = timedelta(days=40).total_seconds()
VOUCHERS = Decimal("5.00")


def billable(stage: Stage) -> tuple[str, str]:
    """An account whose contract lasted through the end of a month, with some vouchers; and the month."""
    account = stage.redeem()
    stage.must("ACTIVE")
    with stage.ctx.store.write() as tx:
        price_lists.put(tx, PRICES)
        lines = [Line("given/wuxi-cash", "CNY", -VOUCHERS), Line(bill.credit_of(account), "CNY", VOUCHERS)]
        ledger.post(tx, "redeem/r", lines, stage.now(), "wuxi-cash: redeemed")
    paper = contract.draft(stage.ctx, account, "B", stage.now() + timedelta(days=35), actor="test")
    contract.sign(stage.ctx, paper.id, paper.digest or "", actor="holder")
    stage.must("CONTRACTED")
    month = named(Period.MONTH, stage.now(), times.zone())
    stage.pass_time(LATER)
    return account, month


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_bill_whose_closing_was_killed_is_closed_once(stage: Stage, moment: str) -> None:
    """And what it says is what a preview said."""
    account, month = billable(stage)
    seen = bill.preview(stage.ctx, account, month)
    close = f"bill {account} {month}"
    assert stage.processes.run(stage.order(failpoint=f"bill.close.{moment}", act=close)) == -signal.SIGKILL
    for _ in range(2):
        assert stage.processes.run(stage.order("RECLAIMED", act=close)) == 0
    closed = bill.preview(stage.ctx, account, month)
    assert (closed.lines, closed.taken) == (seen.lines, VOUCHERS)
    with stage.ctx.store.read() as tx:
        assert ledger.balance(tx, bill.credit_of(account)) == 0
        assert ledger.balance(tx, f"billed/{account}/CNY") == closed.price
        assert ledger.check(tx) == []
        written = [entry.action for entry in journal.list_(tx, subject=account)]
    assert written.count("bill.closed") == 1
