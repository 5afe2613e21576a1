"""Contracts under everything that happens to them."""

from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.flows.papers import Contracts


def test_no_order_of_events_and_faults_loses_data_or_charges_twice() -> None:
    """Hypothesis plays; after each step I7 and I8 are looked up in the site, the rows and the journal."""
    run_state_machine_as_test(Contracts, settings=settings(
        max_examples=30, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)))
