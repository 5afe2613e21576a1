"""The site in memory: its clock, its reaper and its faults."""

import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from providers.memory import meters
from providers.memory.site import MemorySite, connect
from providers.memory.world import forget
from providers.protocol import PARTS, AlreadyFenced, NeedsHuman, Outage, Refused, TryLater, Usage, only
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
    only(site.clean([(SPEC.account, 4)]))
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


def used(site: MemorySite) -> list[Usage]:
    return site.usage(SPEC.account, START)


def totals(intervals: list[Usage]) -> dict[str, int]:
    meters = sorted({meter for one in intervals for meter in one.amounts})
    return {meter: sum(one.amounts.get(meter, 0) for one in intervals) for meter in meters}


def gaps(intervals: list[Usage]) -> timedelta:
    return sum((one.until - one.since - one.covered for one in intervals), timedelta())


def uses(site: MemorySite, **what: object) -> None:
    """What the account holds or has counted from now on."""
    with site.keeper.held() as world:
        for name, it in what.items():
            setattr(world.tenancies[SPEC.account], name, it)


def test_usage_lands_in_its_hours(site: MemorySite) -> None:
    """Storage and memory as size times time, CPU and bytes sent evenly over the time between two looks."""
    opened(site, 4 * HOUR)
    uses(site, stored=1000, memory=10, cpu_seconds=90.0, egress=301, chips={"npu": 2})
    advance(site, 1.5 * HOUR)
    hours = used(site)
    assert [(one.since, one.until, one.covered) for one in hours] == [
        (START, START + HOUR, HOUR), (START + HOUR, START + 1.5 * HOUR, HOUR / 2)]
    assert [one.amounts for one in hours] == [
        {"storage": 3_600_000, "memory": 36_000, "cpu": 60_000, "egress": 200, "chip:npu": 7_200_000},
        {"storage": 1_800_000, "memory": 18_000, "cpu": 30_000, "egress": 101, "chip:npu": 3_600_000}]


def test_an_hour_that_is_over_stays_as_it_was(site: MemorySite) -> None:
    """Whatever is used later."""
    opened(site, 4 * HOUR)
    uses(site, cpu_seconds=5.0)
    advance(site, HOUR)
    first = used(site)
    uses(site, cpu_seconds=50.0, stored=7)
    advance(site, HOUR / 2)
    assert used(site)[:1] == first


def test_what_runs_is_metered_up_to_the_end_and_storage_beyond(site: MemorySite) -> None:
    """The fence kills what runs; what is stored stays."""
    opened(site)
    uses(site, stored=1, memory=1)
    advance(site, 2 * HOUR)
    assert totals(used(site)) == {"storage": 7200, "memory": 3600, "cpu": 0, "egress": 0}


def test_meters_that_stand_still_are_a_gap(site: MemorySite) -> None:
    """It shows in what is covered; what was counted meanwhile comes afterwards."""
    opened(site, 4 * HOUR)
    used(site)
    site.keeper.peek(lambda world: setattr(world.faults, "unmetered_site", True))
    uses(site, cpu_seconds=3.0, stored=1)
    advance(site, HOUR)
    assert [(one.covered, one.amounts.get("storage", 0)) for one in used(site)] == [(timedelta(), 0)]
    site.keeper.peek(lambda world: setattr(world.faults, "unmetered_site", False))
    advance(site, HOUR)
    assert (gaps(used(site)), totals(used(site))["cpu"], totals(used(site))["storage"]) == (HOUR, 3000, 3600)


def test_a_meter_that_cannot_be_read_is_missing(site: MemorySite) -> None:
    """And no zero."""
    opened(site)
    site.keeper.peek(lambda world: world.faults.unmetered.append("egress"))
    advance(site, HOUR / 2)
    assert {"egress"} | used(site)[0].amounts.keys() == {"egress", "cpu", "storage", "memory"}
    assert "egress" not in used(site)[0].amounts


def test_an_outage_is_told_once_it_is_over(site: MemorySite) -> None:
    """While it lasts nobody answers; afterwards it is a gap in the meters too."""
    opened(site, 4 * HOUR)
    site.keeper.peek(meters.fall)
    advance(site, HOUR)
    with pytest.raises(TryLater):
        used(site)
    site.keeper.peek(meters.rise)
    advance(site, HOUR)
    assert site.outages(START) == [Outage(START, START + HOUR)]
    assert site.outages(START + HOUR) == []
    assert gaps(used(site)) == HOUR


def test_a_clock_that_goes_back_meters_nothing_twice(site: MemorySite) -> None:
    """It waits until the clock has caught up."""
    opened(site, 9 * HOUR)
    uses(site, stored=1)
    advance(site, 2 * HOUR)
    used(site)
    advance(site, -HOUR)
    used(site)
    advance(site, HOUR)
    assert totals(used(site))["storage"] == 7200


def test_a_file_that_cannot_be_kept_says_so(tmp_path: Path) -> None:
    """An operator's slip, not a traceback."""
    site = connect("lost", {"file": str(tmp_path / "nowhere" / "world")}, {})
    with pytest.raises(NeedsHuman, match="No such file or directory"):
        site.now()
