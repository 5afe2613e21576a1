"""What must hold whatever happens, and that each planted mistake is found."""

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.lifecycle.machine import Lifecycle

STEADY = settings(max_examples=300, stateful_step_count=60, deadline=None, derandomize=True, database=None,
                  suppress_health_check=list(HealthCheck))
SEEKING = settings(STEADY, max_examples=2000, phases=[Phase.generate])


def test_everything_holds() -> None:
    """No order of events, faults and pauses breaks what must hold."""
    run_state_machine_as_test(Lifecycle, settings=STEADY)


@pytest.mark.parametrize("bug", ["no reaper", "forgets generations", "rebuilds", "lifts any fence", "saves unguarded",
                                 "early voucher", "fence without site", "one clock", "forgets to clean"])
def test_a_planted_mistake_is_found(bug: str) -> None:
    """The checker sees what it is there to see."""
    planted = type("Planted", (Lifecycle,), {"bugs": frozenset({bug})})
    with pytest.raises(AssertionError):
        run_state_machine_as_test(planted, settings=SEEKING)
