"""Places are never given twice, and a place is free only when its account is gone."""

import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select

from orchestrator.lifecycle.voucher import VoucherState
from orchestrator.store import capacity, sites, tables, vouchers
from orchestrator.store.engine import Store, Tx
from orchestrator.store.sites import Places
from tests.store import storm
from tests.store.making import HOUR, NOW, OFFER, World, furnish, number

DAY = timedelta(days=1)
ROOT = Path(__file__).parents[2]


def hold(tx: Tx, nth: int, start: timedelta = timedelta(), length: timedelta = DAY) -> bool:
    return capacity.hold(tx, number(nth), "nanjing", OFFER.name, NOW + start, NOW + start + length, now=NOW)


def give(tx: Tx, *places: Places) -> None:
    sites.put_places(tx, "nanjing", list(places))


def test_the_last_place_is_given_once(world: World) -> None:
    """With one place, the second is refused."""
    with world.store.write() as tx:
        give(tx, Places("nanjing", OFFER.name, 1))
        assert [hold(tx, 1), hold(tx, 2)] == [True, False]


def test_holding_twice_is_once(world: World) -> None:
    """The same account holds one place however often it asks."""
    with world.store.write() as tx:
        give(tx, Places("nanjing", OFFER.name, 2))
        assert [hold(tx, 1), hold(tx, 1), hold(tx, 2)] == [True, True, True]


def test_a_released_place_is_free(world: World) -> None:
    """What one gives back another gets; giving back twice is once."""
    with world.store.write() as tx:
        give(tx, Places("nanjing", OFFER.name, 1))
        hold(tx, 1)
        capacity.release(tx, number(1))
        capacity.release(tx, number(1))
        assert capacity.free(tx, "nanjing", OFFER.name, NOW) == 1
        assert hold(tx, 2)


def test_an_overdue_hold_still_counts(world: World) -> None:
    """An account that should be gone and is not keeps its place taken."""
    with world.store.write() as tx:
        give(tx, Places("nanjing", OFFER.name, 1))
        hold(tx, 1, start=-2 * DAY)
        assert not hold(tx, 2)
        assert capacity.free(tx, "nanjing", OFFER.name, NOW) == 0


def test_places_not_yet_there_are_not_given(world: World) -> None:
    """A place from tomorrow on holds nothing today."""
    with world.store.write() as tx:
        give(tx, Places("nanjing", OFFER.name, 1, from_=NOW + DAY))
        assert not hold(tx, 1)


def test_places_that_end_too_early_are_not_given(world: World) -> None:
    """An account must fit within the place's time; [from, until) is exact."""
    with world.store.write() as tx:
        give(tx, Places("nanjing", OFFER.name, 1, until=NOW + DAY))
        assert [hold(tx, 1, length=DAY + timedelta(microseconds=1)), hold(tx, 1, length=DAY)] == [False, True]


def test_places_that_follow_each_other_make_one(world: World) -> None:
    """Two rows without a gap carry an account across their edge."""
    with world.store.write() as tx:
        give(tx, Places("nanjing", OFFER.name, 1, until=NOW + HOUR), Places("nanjing", OFFER.name, 1, from_=NOW + HOUR))
        assert hold(tx, 1)


def test_a_booking_ahead_is_respected(world: World) -> None:
    """What was promised for later is not given away until then, and before it is free."""
    with world.store.write() as tx:
        give(tx, Places("nanjing", OFFER.name, 1))
        assert hold(tx, 1, start=2 * DAY)
        assert [hold(tx, 2, length=3 * DAY), hold(tx, 2, length=2 * DAY)] == [False, True]


def test_an_extension_needs_the_place_for_longer(world: World) -> None:
    """Extending into another's time is refused and changes nothing."""
    with world.store.write() as tx:
        give(tx, Places("nanjing", OFFER.name, 1))
        hold(tx, 1)
        hold(tx, 2, start=2 * DAY)
        assert not capacity.extend(tx, number(1), NOW + 3 * DAY, NOW)
        assert capacity.extend(tx, number(1), NOW + 2 * DAY, NOW)


def test_places_taken_away_take_nothing_from_holders(world: World) -> None:
    """Fewer places than holds: nothing is free, nothing breaks."""
    with world.store.write() as tx:
        hold(tx, 1)
        give(tx)
        assert capacity.free(tx, "nanjing", OFFER.name, NOW) == 0


def _issued(world: World) -> World:
    with world.store.write() as tx:
        codes = [storm.code(nth) for nth in range(1000)]
        vouchers.import_(tx, world.sender, OFFER.name, codes, NOW - DAY, NOW + DAY)
    return world


def _counts(world: World) -> tuple[int, int, int]:
    """Holds, accounts, vouchers still usable."""
    with world.store.read() as tx:
        held = tx.execute(select(func.count()).select_from(tables.holds)).scalar_one()
        made = tx.execute(select(func.count()).select_from(tables.accounts)).scalar_one()
        return held, made, len(vouchers.list_(tx, state=VoucherState.ISSUED, limit=2000))


@pytest.fixture
def patient(store: Store) -> World:
    world = furnish(Store(store.url.render_as_string(hide_password=False), store.keyring, busy=storm.PATIENT))
    return _issued(world)


def test_a_thousand_threads_work_for_a_hundred_places(patient: World) -> None:
    """1,000 redemptions at once in one process: 100 accounts, 900 vouchers intact."""
    got = storm.storm(patient.store, patient.sender, 0, 1000, threads=30)
    assert (got, *_counts(patient)) == (100, 100, 100, 900)
    patient.store.close()


def test_processes_share_a_hundred_places(patient: World, url: str, key_file: Path) -> None:
    """1,000 redemptions from four processes at once: 100 accounts, 900 vouchers intact."""
    running = [subprocess.Popen(
        [sys.executable, "-m", "tests.store.storm", url, str(key_file), str(first), "250"], cwd=ROOT,
        stdout=subprocess.PIPE, text=True) for first in range(0, 1000, 250)]
    got = sum(int(process.communicate(timeout=300)[0]) for process in running)
    assert (got, *_counts(patient)) == (100, 100, 100, 900)
    patient.store.close()
