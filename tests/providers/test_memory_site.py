"""The site in memory: its clock, its reaper and its faults."""

import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from providers.memory.site import MemorySite, connect
from providers.memory.world import forget
from providers.protocol import PARTS, AlreadyFenced, NeedsHuman, Refused, TryLater
from tests.providers.specs import new_id, spec

START = datetime(2030, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
SPEC = spec()


@pytest.fixture
def site() -> Iterator[MemorySite]:
    made = connect("m", {}, {})
    made.keeper.peek(lambda world: setattr(world, "at", START.timestamp()))
    yield made
    forget("m")


def advance(site: MemorySite, by: timedelta) -> None:
    site.keeper.peek(lambda world: setattr(world, "offset", world.offset + by.total_seconds()))


def opened(site: MemorySite, duration: timedelta = HOUR) -> None:
    site.arm(SPEC, START + 2 * duration, 1)
    for part in PARTS:
        site.parts[part].ensure(SPEC)
    site.open(SPEC, duration, 2)


def test_it_ends_leases_by_itself(site: MemorySite) -> None:
    """Past the end, nobody having said anything, the account is fenced as of its end."""
    opened(site)
    advance(site, HOUR + timedelta(minutes=5))
    assert site.arm(SPEC, START + 9 * HOUR, 3) == AlreadyFenced(START + HOUR, "end")


def test_its_reaper_is_one_call(site: MemorySite) -> None:
    """`tick` says whom it fenced, once."""
    opened(site)
    advance(site, HOUR)
    assert [site.keeper.peek(lambda world: world.tick()) for _ in range(2)] == [[SPEC.account], []]


def test_two_objects_of_one_name_are_one_site(site: MemorySite) -> None:
    """As two workers see one host."""
    opened(site)
    assert connect("m", {}, {}).accounts() == [SPEC.account]


def test_a_dead_site_answers_nothing(site: MemorySite) -> None:
    """Fences of a batch included."""
    site.keeper.peek(lambda world: setattr(world.faults, "dead", True))
    with pytest.raises(TryLater):
        site.fence([(SPEC.account, 1)], "end")


def test_a_poisoned_account_spoils_no_other_s_fence(site: MemorySite) -> None:
    """Its own row carries its error."""
    other = new_id()
    site.keeper.peek(lambda world: world.faults.poisoned.append(other))
    rows = site.fence([(other, 1), (SPEC.account, 1)], "end")
    assert [type(row.error) for row in rows] == [NeedsHuman, type(None)]


def test_a_lost_answer_has_done_its_work(site: MemorySite) -> None:
    """TryLater, and the end is armed all the same."""
    site.keeper.peek(lambda world: setattr(world.faults, "lost_answers", 1))
    with pytest.raises(TryLater):
        site.arm(SPEC, START + HOUR, 1)
    assert site.accounts() == [SPEC.account]


def test_what_sticks_is_listed_and_stays_listed(site: MemorySite) -> None:
    """A storage that will not go keeps the account from being clean."""
    opened(site)
    site.keeper.peek(lambda world: world.faults.sticky.append(SPEC.account))
    site.fence([(SPEC.account, 3)], "end")
    site.clean(SPEC.account, 4)
    assert "storage" in [left.kind for left in site.leftovers(SPEC.account)]


def test_a_listing_that_fails_is_not_empty(site: MemorySite) -> None:
    """Even of an account of which nothing is there."""
    site.keeper.peek(lambda world: world.faults.unlisted.append("storage"))
    assert [left.unlisted for left in site.leftovers(SPEC.account)] == [True]


def test_without_its_reaper_nothing_ends_by_itself(site: MemorySite) -> None:
    """The fault that shows whether Tenure's own fence works."""
    opened(site)
    site.keeper.peek(lambda world: setattr(world.faults, "no_reaper", True))
    advance(site, 2 * HOUR)
    assert site.fence([(SPEC.account, 3)], "end")[0].at == START + 2 * HOUR


def test_unprepare_is_refused_while_accounts_are_there(site: MemorySite) -> None:
    """And says so."""
    opened(site)
    with pytest.raises(Refused, match="accounts are there"):
        site.unprepare(dry_run=False)


def test_a_site_in_a_file_outlives_the_process(tmp_path: Path) -> None:
    """What another process armed is here, and its end comes without it."""
    file = str(tmp_path / "site")
    other = (
        "from providers.memory.site import connect\n"
        "from tests.providers.specs import spec\n"
        "from datetime import timedelta\n"
        f"site = connect('f', {{'file': {file!r}}}, {{}})\n"
        f"site.arm(spec({SPEC.account!r}), site.now() - timedelta(seconds=1), 7)\n"
    )
    root = Path(__file__).parents[2]
    subprocess.run([sys.executable, "-c", other], check=True, cwd=root, timeout=60)
    site = connect("f", {"file": file}, {})
    assert isinstance(site.arm(SPEC, site.now() + HOUR, 7), AlreadyFenced)


def test_an_unknown_setting_is_named() -> None:
    """Also here."""
    with pytest.raises(NeedsHuman, match="'addres'"):
        connect("m", {"addres": 1}, {})
