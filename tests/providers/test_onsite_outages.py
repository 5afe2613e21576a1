"""Outages as a host remembers them, whatever its clock says when it starts: nobody gets hours for a wrong clock."""

from pathlib import Path

import pytest

from providers.host.onsite import outages
from providers.host.onsite.config import Config
from providers.host.onsite.outages import beaten
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


def test_an_outage_in_times_to_come_goes_with_the_next_one(here: Config) -> None:
    """The host was off while its clock was put right: from its next outage on it is not told."""
    outages.note(here, DOWN, DOWN + DAY)
    outages.note(here, DOWN + MINUTE, DOWN + 10 * MINUTE)
    assert outages.load(here) == [[DOWN + MINUTE, DOWN + 10 * MINUTE]]


def test_a_boot_without_a_clock_makes_no_outage_of_years(here: Config) -> None:
    """Started in 1970, and once more before anybody could set its clock."""
    first = beaten(DOWN, DOWN, False, MINUTE)
    beat = beaten(first, MINUTE, True, 2 * MINUTE)
    outages.note(here, beat, DOWN + 10 * MINUTE)
    assert outages.load(here) == [[DOWN, DOWN + 10 * MINUTE]]


def test_a_clock_that_is_set_takes_the_heart_beat_along() -> None:
    """Forward after a boot in 1970, and back after one in times to come."""
    assert beaten(DOWN, MINUTE, True, DOWN + MINUTE) == DOWN + MINUTE
    assert beaten(DOWN + DAY, DOWN + DAY, True, DOWN + MINUTE) == DOWN + MINUTE


@pytest.mark.parametrize("step", [DAY, 0, -500])
def test_any_other_step_leaves_outages_as_they_are(here: Config, step: int) -> None:
    """Forward, none, or how long it takes to read two clocks."""
    outages.note(here, DOWN, DOWN + 10 * MINUTE)
    outages.put_right(here, DOWN + 11 * MINUTE + step, step)
    outages.put_right(here, DOWN + 12 * MINUTE, -DAY)
    assert outages.load(here) == [[DOWN, DOWN + 10 * MINUTE]]
