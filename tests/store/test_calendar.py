"""Bookings, redemptions for now and extensions against a model that counts by looking: never more holds than places."""

import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.lifecycle.calendar import fullest
from orchestrator.lifecycle.errors import RuleError
from orchestrator.lifecycle.times import midnight, zone
from orchestrator.store import calendar, capacity, sites, tables
from orchestrator.store.engine import Store, Tx
from orchestrator.store.seal import Keyring
from orchestrator.store.sites import Places
from tests.store import storm
from tests.store.making import HOUR, NOW, OFFER, World, furnish, number

DAY = timedelta(days=1)
SITE = "nanjing"
PLACES = (Places(SITE, OFFER.name, 2), Places(SITE, OFFER.name, 3, from_=NOW + 5 * DAY),
          Places(SITE, OFFER.name, 1, until=NOW + 8 * DAY))
CHINA = zone()


@dataclass
class Model:
    """What is held, by account; every step is looked at hour by hour."""

    held: dict[str, tuple[datetime, datetime]]

    def fits(self, account: str, start: datetime, until: datetime) -> bool:
        others = [span for other, span in self.held.items() if other != account]
        return all(sum(begin <= at < end for begin, end in others) < there(at) for at in hours(start, until))

    def worst(self) -> int:
        """How many places are free where fewest are."""
        edges = [edge for span in self.held.values() for edge in span]
        return min((there(at) - sum(begin <= at < end for begin, end in self.held.values()) for at in edges
                    if at < NOW + 30 * DAY), default=0)


def hours(start: datetime, until: datetime) -> list[datetime]:
    return [start + nth * HOUR for nth in range(int((until - start) / HOUR))]


def there(at: datetime) -> int:
    return sum(place.count for place in PLACES if place.from_ <= at < place.until)


@pytest.mark.parametrize("seed", range(4))
def test_the_calendar_is_the_models(world: World, seed: int) -> None:
    """Booked, taken now, extended, moved and released at random: each answer is the model's, and no instant ever has
    more holds than places."""
    model, chance = Model({}), random.Random(seed)  # noqa: S311 - a test's dice
    with world.store.write() as tx:
        sites.put_places(tx, SITE, list(PLACES))
        for _ in range(150):
            account = number(chance.randrange(14))
            start = NOW + chance.choice((0, chance.randrange(1, 240))) * HOUR
            until = start + chance.randrange(1, 120) * HOUR
            known = model.held.get(account)
            match chance.choice(("hold", "hold", "extend", "move", "release")):
                case "release":
                    capacity.release(tx, account)
                    model.held.pop(account, None)
                    continue
                case "hold" if known is None:
                    got = capacity.hold(tx, account, SITE, OFFER.name, start, until, NOW)
                case "extend" if known is not None:
                    start = known[0]
                    until = max(until, start + HOUR)
                    got = capacity.extend(tx, account, until, NOW)
                case "move" if known is not None:
                    got = capacity.move(tx, account, SITE, OFFER.name, start, until, NOW)
                case _:
                    continue
            shorter = known is not None and start == known[0] and until <= known[1]
            assert got == (shorter or model.fits(account, start, until))
            if got:
                model.held[account] = (start, until)
            assert model.worst() >= 0


def test_a_thousand_bookings_at_once_with_redemptions_and_extensions(store: Store) -> None:
    """From many threads, for the same five days: afterwards no instant has more holds than places, and whoever was
    told that the place is theirs has it."""
    patient = Store(store.url.render_as_string(hide_password=False), store.keyring, busy=storm.PATIENT)
    furnish(patient)
    with patient.write() as tx:
        sites.put_places(tx, SITE, [Places(SITE, OFFER.name, 20), Places(SITE, OFFER.name, 30, from_=NOW + 3 * DAY)])
    wishes = [(nth, random.Random(nth)) for nth in range(1000)]  # noqa: S311

    def one(nth: int, chance: random.Random) -> tuple[str, datetime, datetime] | None:
        account = number(nth)
        start = NOW if nth % 3 == 0 else NOW + chance.randrange(1, 120) * HOUR
        until = start + chance.randrange(12, 48) * HOUR
        with patient.write() as tx:
            if not capacity.hold(tx, account, SITE, OFFER.name, start, until, NOW):
                return None
        longer = until + DAY
        with patient.write() as tx:
            return account, start, longer if nth % 5 == 0 and capacity.extend(tx, account, longer, NOW) else until

    with ThreadPoolExecutor(24) as pool:
        told = [answer for answer in pool.map(lambda wish: one(*wish), wishes) if answer is not None]
    with patient.read() as tx:
        held = capacity.held(tx, SITE, OFFER.name, NOW, NOW + 60 * DAY, NOW)
    assert sum(stretch.count for stretch in held) == len(told)
    spans = sorted((start, until) for _, start, until in told)
    assert spans == sorted((stretch.start, stretch.until) for stretch in held for _ in range(stretch.count))
    for at in {edge for span in spans for edge in span}:
        places = 20 if at < NOW + 3 * DAY else 50
        assert sum(start <= at < until for start, until in spans) <= places
    assert len(told) > 100
    patient.close()


def test_a_move_between_sites_releases_the_first(world: World) -> None:
    """One hold an account, whichever site it is at."""
    with world.store.write() as tx:
        sites.put_places(tx, SITE, [Places(SITE, OFFER.name, 1)])
        sites.put_places(tx, "wuxi", [Places("wuxi", OFFER.name, 1)])
        assert capacity.hold(tx, number(1), SITE, OFFER.name, NOW, NOW + DAY)
        assert capacity.move(tx, number(1), "wuxi", OFFER.name, NOW + DAY, NOW + 2 * DAY, NOW)
        assert [capacity.free(tx, site, OFFER.name, at) for site, at in ((SITE, NOW), ("wuxi", NOW),
                                                                        ("wuxi", NOW + DAY))] == [1, 1, 0]


def test_whose_turn_it_is(world: World) -> None:
    """Of those who hold a place now, the first so many as there are places; an overdue one goes first."""
    with world.store.write() as tx:
        sites.put_places(tx, SITE, [Places(SITE, OFFER.name, 3)])
        for nth, start in ((1, NOW - 2 * DAY), (2, NOW), (3, NOW)):
            assert capacity.hold(tx, number(nth), SITE, OFFER.name, start, start + DAY, now=start)
        sites.put_places(tx, SITE, [Places(SITE, OFFER.name, 2)])
        assert [capacity.its_turn(tx, number(nth), NOW) for nth in (1, 2, 3, 4)] == [True, True, False, False]


def test_each_day_says_places_taken_booked_free_and_coming(world: World) -> None:
    """By civil days: two places, three more from the third day's noon on."""
    noon = datetime(2026, 3, 3, 4, tzinfo=UTC)
    with world.store.write() as tx:
        sites.put_places(tx, SITE, [Places(SITE, OFFER.name, 2), Places(SITE, OFFER.name, 3, from_=noon)])
        capacity.hold(tx, number(1), SITE, OFFER.name, NOW, NOW + DAY)
        capacity.hold(tx, number(2), SITE, OFFER.name, NOW + 12 * HOUR, NOW + 2 * DAY, NOW)
        capacity.hold(tx, number(3), SITE, OFFER.name, noon, noon + DAY, NOW)
        [one] = calendar.days(tx, date(2026, 3, 1), 5, NOW, CHINA, SITE)
    assert (one.site, one.offer, one.overdue) == (SITE, OFFER.name, 0)
    assert [(day.day.day, day.places, day.taken, day.booked, day.free, day.coming) for day in one.days] == [
        (1, 2, 1, 0, 1, 3), (2, 2, 1, 1, 0, 3), (3, 2, 0, 1, 1, 3), (4, 5, 0, 1, 4, 0), (5, 5, 0, 0, 5, 0)]


def test_a_day_is_as_free_as_its_fullest_hour(world: World) -> None:
    """Whatever is held, a whole day's account fits on a day exactly when the calendar shows one free."""
    chance = random.Random(7)  # noqa: S311
    with world.store.write() as tx:
        sites.put_places(tx, SITE, list(PLACES))
        for nth in range(12):
            start = NOW + chance.randrange(1, 200) * HOUR
            capacity.hold(tx, number(nth), SITE, OFFER.name, start, start + chance.randrange(6, 80) * HOUR, NOW)
        days = calendar.days(tx, date(2026, 3, 2), 12, NOW, CHINA, SITE, OFFER.name)[0].days
        for day in days:
            midnight = datetime(day.day.year, day.day.month, day.day.day, tzinfo=CHINA)
            fits = capacity.hold(tx, "whole-day", SITE, OFFER.name, midnight, midnight + DAY, NOW)
            capacity.release(tx, "whole-day")
            assert fits == (day.free > 0)
            assert day.free == max(0, day.places - day.taken - day.booked)
    assert all(later.day - earlier.day == DAY for earlier, later in pairwise(days))


def test_what_begins_and_ends_within_a_day_counts_on_it(world: World) -> None:
    """A booking of two hours at night, and places that end after the first: the day is as full as the second hour."""
    night = datetime(2026, 3, 2, 18, tzinfo=UTC)
    with world.store.write() as tx:
        sites.put_places(tx, SITE, [Places(SITE, OFFER.name, 1000), Places(SITE, OFFER.name, 7, until=night + HOUR)])
        sites.put_places(tx, "wuxi", [])
        capacity.hold(tx, number(1), SITE, OFFER.name, night, night + 2 * HOUR, NOW)
        capacity.put(tx, number(2), "wuxi", "gone", NOW - DAY, NOW - HOUR)
        full, without = calendar.days(tx, date(2026, 3, 2), 2, NOW, CHINA)
    assert [(day.at, day.places, day.booked, day.free) for day in full.days] == [
        (night - 26 * HOUR, 1007, 0, 1007), (night + HOUR, 1000, 1, 999)]
    assert (without.site, without.offer, without.overdue, [day.taken for day in without.days]) == (
        "wuxi", "gone", 1, [1, 1])


def test_the_longest_calendar_may_be_uneven_on_every_day(world: World) -> None:
    """400 days, within each of which a booking begins and ends."""
    with world.store.write() as tx:
        for nth in range(calendar.MOST_DAYS):
            capacity.put(tx, number(nth), SITE, OFFER.name, NOW + nth * DAY + HOUR, NOW + nth * DAY + 2 * HOUR)
        [one] = calendar.days(tx, date(2026, 3, 1), calendar.MOST_DAYS, NOW, CHINA, SITE)
    assert [(day.booked, day.free) for day in one.days] == [(1, 99)] * calendar.MOST_DAYS


OFFSETS = st.one_of(st.integers(-60, 120), st.integers(-2, 4).map(lambda day: 24 * day - 20))
"""Hours from 20:00 in Shanghai: any, and midnights."""
SPANS = st.tuples(OFFSETS, st.one_of(st.integers(1, 8), st.integers(1, 90)))
LARGE = replace(OFFER, name="large")
PAIRS = ((SITE, OFFER.name), (SITE, LARGE.name), ("wuxi", OFFER.name))


@given(places=st.lists(st.tuples(st.sampled_from(PAIRS), SPANS, st.integers(1, 3)), max_size=6),
       held=st.lists(st.tuples(st.sampled_from(PAIRS), SPANS), max_size=12), first=st.integers(-2, 3),
       count=st.integers(1, 5))
@settings(max_examples=150, deadline=None)
def test_days_are_what_looking_at_every_hold_counts(lasting: Store, places: list[Any], held: list[Any], first: int,
                                                    count: int) -> None:
    """Whatever places and holds begin and end within a day, or at a midnight: before, on and after today, whole and
    cut off at now, each day of each pair is the fullest moment of all its stretches."""
    with lasting.write() as tx:
        for site in {site for site, _ in PAIRS}:
            sites.put_places(tx, site, [Places(site, offer, many, at(start), at(start + length))
                                        for (of, offer), (start, length), many in places if of == site])
        tx.execute(tables.holds.delete())
        for nth, ((site, offer), (start, length)) in enumerate(held):
            capacity.put(tx, number(nth), site, offer, at(start), at(start + length))
        since = date(2026, 3, 1) + first * DAY
        for one in calendar.days(tx, since, count, NOW, CHINA):
            assert len(one.days) == count
            for day in one.days:
                assert day == brute(tx, one.site, one.offer, day.day)
            alone = calendar.days(tx, since, count, NOW, CHINA, one.site, one.offer)
            assert alone == [one]
        assert {(one.site, one.offer) for one in calendar.days(tx, since, count, NOW, CHINA)} >= {
            pair for pair, _, _ in places}


@pytest.fixture(scope="module")
def lasting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """One store for all examples."""
    store = Store(f"sqlite:///{tmp_path_factory.mktemp('days')}/tenure.db", Keyring.new())
    store.migrate()
    furnish(store)
    with store.write() as tx:
        sites.put_offer(tx, LARGE)
    yield store
    store.close()


def at(hour: int) -> datetime:
    return NOW + hour * HOUR


def brute(tx: Tx, site: str, offer: str, day: date) -> calendar.Day:
    """Every hold and every place of the day, at its fullest moment."""
    start, until = midnight(day, CHINA), midnight(day + DAY, CHINA)
    start = NOW if start <= NOW < until else start
    there, held = capacity.places(tx, site, offer), capacity.held(tx, site, offer, start, until, NOW)
    moment = fullest(there, held, start, until)
    here = [one for one in held if one.start <= moment < one.until]
    places = sum(one.count for one in there if one.start <= moment < one.until)
    taken = sum(one.count for one in here if one.start <= NOW)
    booked = sum(one.count for one in here if one.start > NOW)
    return calendar.Day(site, offer, day, moment, places, taken, booked, max(0, places - taken - booked),
                        sum(one.count for one in there if one.start > moment))


@pytest.mark.parametrize(("first", "days"), [(date(9999, 12, 31), 2), (date(1, 1, 1), 1), (date(2027, 1, 1), 0),
                                             (date(2027, 1, 1), 401)])
def test_days_that_no_calendar_has_are_refused(world: World, first: date, days: int) -> None:
    """An error, never an overflow."""
    with world.store.read() as tx, pytest.raises(RuleError):
        calendar.days(tx, first, days, NOW, CHINA)


def test_moves_to_and_fro_at_once_lose_no_place(store: Store) -> None:
    """Between two sites, both ways at the same time: afterwards each account has one place, and no site too many."""
    patient = Store(store.url.render_as_string(hide_password=False), store.keyring, busy=storm.PATIENT)
    furnish(patient, places=12)
    with patient.write() as tx:
        for nth in range(20):
            assert capacity.hold(tx, number(nth), (SITE, "wuxi")[nth % 2], OFFER.name, NOW, NOW + DAY)

    def to_and_fro(nth: int) -> None:
        for turn in range(10):
            first, second = (SITE, "wuxi") if (nth + turn) % 2 else ("wuxi", SITE)
            with patient.write() as tx:
                capacity.lock(tx, OFFER.name)
                if not capacity.move(tx, number(nth), first, OFFER.name, NOW + turn * HOUR, NOW + DAY, NOW):
                    capacity.move(tx, number(nth), second, OFFER.name, NOW + turn * HOUR, NOW + DAY, NOW)

    with ThreadPoolExecutor(10) as pool:
        list(pool.map(to_and_fro, range(20)))
    with patient.read() as tx:
        held = [sum(one.count for one in capacity.held(tx, site, OFFER.name, NOW, NOW + DAY, NOW))
                for site in (SITE, "wuxi")]
    assert sum(held) == 20
    assert max(held) <= 12
    patient.close()
