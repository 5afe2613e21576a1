"""What must hold whatever happens, and that each planted mistake is found."""

from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from orchestrator.lifecycle.account import State
from tests.lifecycle.machine import Lifecycle

STEADY = settings(max_examples=300, stateful_step_count=60, deadline=None, derandomize=True, database=None,
                  suppress_health_check=list(HealthCheck))
SEEKING = settings(STEADY, max_examples=2000, phases=[Phase.generate])
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
Story = Callable[[Lifecycle], Iterator[State]]


def with_bug(*bugs: str) -> type[Lifecycle]:
    return type("Planted", (Lifecycle,), {"bugs": frozenset(bugs)})


def test_everything_holds() -> None:
    """No order of events, faults and pauses breaks what must hold."""
    run_state_machine_as_test(Lifecycle, settings=STEADY)


@pytest.mark.parametrize("bug", ["no reaper", "rebuilds", "saves unguarded", "early voucher", "fence without site",
                                 "forgets to clean"])
def test_a_planted_mistake_is_found(bug: str) -> None:
    """The search sees what it is there to see."""
    with pytest.raises(AssertionError):
        run_state_machine_as_test(with_bug(bug), settings=SEEKING)


def wakes_up_late(life: Lifecycle) -> Iterator[State]:
    """A worker is paused before its first call to the site and goes on when the account is long gone."""
    life.serve(worker="w1", nth=0, steps=2)
    yield State.PROVISIONING
    life.time_passes(MINUTE)
    life.serve(worker="w2", nth=0, steps=9)
    yield State.ACTIVE
    life.time_passes(HOUR)
    life.serve(worker="w2", nth=0, steps=9)
    yield State.FENCED
    life.time_passes(3 * HOUR)
    life.serve(worker="w2", nth=0, steps=9)
    yield State.RECLAIMED
    life.go_on(worker="w1", steps=9)
    yield State.RECLAIMED


def unfenced_by_a_clock(life: Lifecycle) -> Iterator[State]:
    """An operator's fence is overtaken by the end; the site's clock goes back; the operator lifts it."""
    life.serve(worker="w1", nth=0, steps=9)
    yield State.ACTIVE
    life.operator(worker="w1", nth=0, what="fence")
    life.go_on(worker="w1", steps=9)
    yield State.FENCED
    life.time_passes(HOUR)
    yield State.FENCED
    life.fault(what="site clock", jump=-HOUR)
    life.operator(worker="w1", nth=0, what="unfence")
    life.go_on(worker="w1", steps=1)
    yield State.FENCED


def a_day_ahead(life: Lifecycle) -> Iterator[State]:
    """Our clock jumps past end and grace: an early fence, and nothing is deleted."""
    life.serve(worker="w1", nth=0, steps=9)
    yield State.ACTIVE
    life.fault(what="our clock", jump=DAY)
    life.serve(worker="w1", nth=0, steps=9)
    yield State.FENCED
    life.serve(worker="w1", nth=0, steps=9)
    yield State.FENCED


def tell(life: Lifecycle, story: Story) -> None:
    life.first()
    for expected in story(life):
        life.check()
        assert life.world.db.rows["a0"].account.state is expected


STORIES: list[tuple[Story, str]] = [(wakes_up_late, "forgets generations"), (unfenced_by_a_clock, "lifts any fence"),
                                    (a_day_ahead, "one clock")]


@pytest.mark.parametrize("story", [story for story, _ in STORIES])
def test_a_story_ends_well(story: Story) -> None:
    """What is too rare to be searched for is told, and holds."""
    life = Lifecycle()
    tell(life, story)
    life.teardown()


@pytest.mark.parametrize(("story", "bug"), STORIES)
def test_a_story_finds_its_mistake(story: Story, bug: str) -> None:
    """The same story with the mistake planted breaks what must hold."""
    with pytest.raises(AssertionError, match="^(I[0-9]|a0 was deleted)"):
        tell(with_bug(bug)(), story)
