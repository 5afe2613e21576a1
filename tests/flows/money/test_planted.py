"""The searches of sums and contracts see what they are there to see: each mistake, planted in the product, is found."""

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

from orchestrator.flows.accounts import convert
from orchestrator.flows.money import bill
from orchestrator.flows.vouchers import entitlement
from orchestrator.store import journal
from orchestrator.store.ledger import Overdrawn
from tests.flows.papers import Contracts
from tests.flows.sums import Sums

Plant = Callable[[pytest.MonkeyPatch], None]
SEEKING = settings(max_examples=300, stateful_step_count=30, deadline=None, derandomize=True, database=None,
                   phases=[Phase.generate], suppress_health_check=list(HealthCheck))


def no_limits(planted: pytest.MonkeyPatch) -> None:
    """Pools and caps bound nothing."""
    right = entitlement.limits
    planted.setattr(entitlement, "limits", lambda *of: [replace(line, least=None, most=None) for line in right(*of)])


def keeps_what_failed(planted: pytest.MonkeyPatch) -> None:
    """An account that was never usable costs its voucher's pool all the same."""
    planted.setattr(entitlement, "give_back", lambda *of: None)


def spends_twice(planted: pytest.MonkeyPatch) -> None:
    """A bill does not know what earlier ones took of the cash; the sums' own bound sees it, too."""
    right = bill._credits
    planted.setattr(bill, "_credits", lambda *of: (right(*of)[0], Decimal(0)))


def replaces(planted: pytest.MonkeyPatch) -> None:
    """A conversion goes on although it would destroy something."""
    planted.setattr(convert, "DESTRUCTIVE", frozenset())


def silent(planted: pytest.MonkeyPatch) -> None:
    """Conversions are in no journal."""
    right: Any = journal.write
    planted.setattr(journal, "write", lambda tx, action, *of, **more: (
        None if action == "account.converted" else right(tx, action, *of, **more)))


@pytest.mark.parametrize(("machine", "plant"), [
    (Sums, no_limits), (Sums, keeps_what_failed), (Sums, spends_twice), (Contracts, replaces), (Contracts, silent)])
def test_a_planted_mistake_is_found(machine: type[RuleBasedStateMachine], plant: Plant,
                                    monkeypatch: pytest.MonkeyPatch) -> None:
    """By the same rules and invariants that find nothing wrong without it."""
    plant(monkeypatch)
    with pytest.raises((AssertionError, Overdrawn)):
        run_state_machine_as_test(machine, settings=SEEKING)
