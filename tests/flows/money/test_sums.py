"""Sums under all that moves them: pools, caps, givings back, cash, bills, subsidies."""

from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.flows.sums import Sums


def test_no_order_of_events_overdraws_loses_or_doubles_a_sum() -> None:
    """Hypothesis plays; after each step every row is replayed and compared with a model that only adds up."""
    run_state_machine_as_test(Sums, settings=settings(
        max_examples=20, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)))
