"""Outages as a host remembers them, whatever its clock says when it starts: nobody gets hours for a wrong clock."""

from pathlib import Path

import pytest

from providers.host.onsite import outages
from providers.host.onsite.config import Config
from tests.providers import onsite_world

MINUTE, DAY = 60_000, 86_400_000
DOWN = 20_000 * DAY


@pytest.fixture
def here(tmp_path: Path) -> Config:
    """A site on whose clock it is `DOWN` when it goes down for ten minutes."""
    return onsite_world.make(tmp_path)


def test_a_clock_that_is_put_right_puts_the_outage_right(here: Config) -> None:
    """The host started a day ahead; a minute later its clock was set."""
    outages.note(here, DOWN, DOWN + DAY + 10 * MINUTE)
    outages.put_right(here, DOWN + 11 * MINUTE, -DAY)
    assert outages.load(here) == [[DOWN, DOWN + 10 * MINUTE]]


def test_what_was_no_outage_by_the_right_clock_is_forgotten(here: Config) -> None:
    """A reboot of half a minute."""
    outages.note(here, DOWN, DOWN + DAY + MINUTE // 2)
    outages.put_right(here, DOWN + MINUTE, -DAY)
    assert outages.load(here) == []


@pytest.mark.parametrize("up", [-MINUTE, 2 * MINUTE, 10 * MINUTE])
def test_a_clock_that_was_put_right_while_it_was_off_makes_no_hours(here: Config, up: int) -> None:
    """When the host came up is known to nobody: an operator tells of the outage, if it was one."""
    outages.note(here, DOWN, DOWN + DAY)
    outages.note(here, DOWN + DAY + MINUTE, DOWN + up)
    assert outages.load(here) == []


@pytest.mark.parametrize("step", [DAY, 0, -500])
def test_any_other_step_leaves_outages_as_they_are(here: Config, step: int) -> None:
    """Forward, none, or how long it takes to read two clocks."""
    outages.note(here, DOWN, DOWN + 10 * MINUTE)
    outages.put_right(here, DOWN + 11 * MINUTE + step, step)
    outages.put_right(here, DOWN + 12 * MINUTE, -DAY)
    assert outages.load(here) == [[DOWN, DOWN + 10 * MINUTE]]
