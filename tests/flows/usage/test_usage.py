"""Meters are read in rounds and a last time before anything is removed; what was not measured shows as a gap."""

import json
import threading
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from orchestrator.flows.usage import metering
from orchestrator.flows.usage import used as shown_use
from orchestrator.flows.work.rounds import Rounds
from orchestrator.lifecycle import usage as rules
from orchestrator.lifecycle.account import State
from orchestrator.lifecycle.errors import RuleError
from orchestrator.lifecycle.offer import Offer
from orchestrator.lifecycle.usage import Gap, UsageRow
from orchestrator.store import certificates, sites, usage
from providers.memory.site import MemorySite
from providers.protocol import NeedsHuman, TryLater, Usage
from tests.flows.town import LARGER, OFFER, START, Town

HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)


def rows(town: Town, id: str, meter: str = "cpu") -> list[UsageRow]:
    with town.store.read() as tx:
        return [row for row in usage.rows(tx, id, START - HOUR, START + 1000 * HOUR) if row.meter == meter]


def burn(town: Town, id: str, core_seconds: float) -> None:
    """The account's processes have run for so long."""
    with town.sites["north"].keeper.held() as world:
        world.tenancies[id].cpu_seconds += core_seconds


def gaps(town: Town, id: str, meter: str = "cpu") -> list[Gap]:
    account = town.account(id)
    with town.store.read() as tx:
        span = rules.lease(account, town.clock.at, HOUR, usage.read_until(tx, id))
        assert span is not None
        return rules.gaps(usage.rows(tx, id, START - HOUR, span[1]), {meter: [span]})


def round_(town: Town) -> None:
    """All rounds that are due, to their end."""
    one = Rounds(town.ctx)
    one.tick()
    assert one.idle(30)


def used(town: Town, id: str) -> Any:
    """What the account's certificate says of it."""
    with town.store.read() as tx:
        signed = certificates.get(tx, id)
    assert signed is not None
    return json.loads(signed.document)["usage"]


def end(town: Town, grace: bool = True) -> None:
    town.advance(town.offer.duration)
    town.work()
    if grace:
        town.advance(town.offer.grace)


def test_what_was_used_stands_in_the_hour_it_was_used_in(town: Town) -> None:
    """Ninety minutes on one core, read once an hour."""
    id = town.active()
    for core_seconds in (3600, 1800):
        burn(town, id, core_seconds)
        town.advance(HOUR)
        round_(town)
    assert [(row.hour, row.amount, row.covered) for row in rows(town, id)] == [
        (START, 3_600_000, HOUR), (START + HOUR, 1_800_000, HOUR)]
    assert gaps(town, id) == []


def test_a_round_that_is_made_again_changes_nothing(town: Town) -> None:
    """Another worker, another minute: the same rows."""
    id = town.active()
    burn(town, id, 100)
    town.advance(HOUR)
    metering.read_site(town.ctx, "north")
    before = rows(town, id)
    metering.read_site(town.worker("w2"), "north")
    assert rows(town, id) == before


def test_rounds_are_made_once_by_one_of_many_workers(town: Town) -> None:
    """The second finds nothing due, until the hour is over."""
    town.active()
    first, second = Rounds(town.ctx), Rounds(town.worker("w2"))
    assert [first.tick(), second.tick()] == [3, 0]
    assert first.idle(30)
    town.advance(HOUR)
    assert [second.tick(), first.tick()] == [3, 0]
    assert second.idle(30)


def test_a_site_that_was_away_is_read_from_where_the_last_reading_ended(town: Town) -> None:
    """Three hours without an answer, and no gap."""
    id = town.active()
    with town.sites["north"].keeper.held() as world:
        world.faults.dead = True
    for _ in range(3):
        town.advance(HOUR)
        round_(town)
    with town.sites["north"].keeper.held() as world:
        world.faults.dead = False
    town.advance(MINUTE)
    round_(town)
    assert len(rows(town, id)) == 4
    assert gaps(town, id) == []


def test_what_the_site_did_not_measure_is_a_gap(town: Town) -> None:
    """Its meters stood still for an hour: that hour has a gap, the others have none."""
    id = town.active()
    town.advance(HOUR)
    metering.read_site(town.ctx, "north")
    with town.sites["north"].keeper.held() as world:
        world.faults.unmetered_site = True
    town.advance(HOUR)
    metering.read_site(town.ctx, "north")
    with town.sites["north"].keeper.held() as world:
        world.faults.unmetered_site = False
    town.advance(HOUR)
    metering.read_site(town.ctx, "north")
    assert gaps(town, id) == [Gap("cpu", START + HOUR, START + 2 * HOUR, HOUR)]


def test_a_meter_that_cannot_be_read_is_a_gap_of_its_own(town: Town) -> None:
    """No zero, and the other meters are there."""
    id = town.active()
    with town.sites["north"].keeper.held() as world:
        world.faults.unmetered = ["memory"]
    town.advance(HOUR)
    metering.read_site(town.ctx, "north")
    assert (gaps(town, id), [gap.missing for gap in gaps(town, id, "memory")]) == ([], [HOUR])


class Forgetful:
    """A site that lost its meters' records in a fault and says less than before; or cannot say anything."""

    def __init__(self, site: MemorySite, answer: object) -> None:
        self._site, self._answer = site, answer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._site, name)

    def usage(self, account: str, since: object) -> list[Usage]:
        if isinstance(self._answer, Exception):
            raise self._answer
        return [Usage(START, START + HOUR, HOUR, {"cpu": 5})]


def test_a_site_that_forgets_erases_nothing(town: Town) -> None:
    """What was read stays; that it said less is in the journal."""
    id = town.active()
    burn(town, id, 100)
    town.advance(HOUR)
    metering.read_site(town.ctx, "north")
    town.instead("north", Forgetful(town.sites["north"], None))
    metering.read_site(town.ctx, "north")
    assert rows(town, id)[0].amount == 100_000
    assert town.journalled(id)[-1] == "usage.lower"


def test_one_poisoned_account_stops_no_other(town: Town) -> None:
    """The others are read; of it, the reason is told."""
    bad, good = town.active(), town.active()
    with town.sites["north"].keeper.held() as world:
        world.faults.poisoned = [bad]
    town.advance(HOUR)
    done = metering.read_site(town.ctx, "north")
    assert (done.read, list(done.failed), done.down) == ([good], [bad], False)


def test_a_site_that_hangs_in_a_reading_delays_no_fence(town: Town) -> None:
    """The reading is still under way when the account is fenced."""
    id = town.active()
    begun, go_on = threading.Event(), threading.Event()

    class Hanging(Forgetful):
        def usage(self, account: str, since: object) -> list[Usage]:
            begun.set()
            assert go_on.wait(60)
            return []

    north = town.sites["north"]
    town.instead("north", Hanging(north, None))
    town.clock.at += town.offer.duration
    with north.keeper.held() as world:
        assert world.at is not None
        world.at += town.offer.duration.total_seconds()
    reading = Rounds(town.ctx)
    reading.tick()
    assert begun.wait(60)
    town.work()
    assert town.account(id).state is State.FENCED
    go_on.set()
    assert reading.idle(60)


def test_the_certificate_says_all_that_was_used(town: Town) -> None:
    """Nobody ever made a round: the last reading has everything."""
    id, hours = town.active(), (town.offer.duration + town.offer.grace) // HOUR
    burn(town, id, hours)
    end(town)
    town.work()
    assert (used(town, id)["amounts"]["cpu"], used(town, id)["gaps_seconds"]) == (hours * 1000, {})


def test_meters_that_cannot_be_read_keep_everything_where_it_is(town: Town) -> None:
    """STUCK, with what to do; nothing is removed."""
    id = town.active()
    end(town)
    town.instead("north", Forgetful(town.sites["north"], NeedsHuman("meters: broken", remedy="mend them")))
    town.work()
    stuck, tenancy = town.record(id).stuck, town.sites["north"].keeper.peek(lambda world: world.tenancies.get(id))
    assert stuck is not None
    assert (stuck.next, f"tenure usage waive {id}" in stuck.remedy) == ("operator", True)
    assert tenancy is not None
    assert "storage" in tenancy.parts


@pytest.mark.parametrize("failing", [NeedsHuman("meters: broken", remedy="mend them"), TryLater("meters: busy")])
def test_an_operator_may_go_on_with_a_gap(town: Town, failing: Exception) -> None:
    """Waived: it is reclaimed, and the certificate shows what nobody measured."""
    id = town.active()
    town.advance(HOUR)
    metering.read_site(town.ctx, "north")
    end(town)
    town.instead("north", Forgetful(town.sites["north"], failing))
    town.work()
    metering.waive(town.ctx, id, actor="test", why="meters are lost")
    town.advance(HOUR)
    town.work()
    assert town.account(id).state is State.RECLAIMED
    assert used(town, id)["last_reading_waived"] is True
    assert used(town, id)["gaps_seconds"]["cpu"] == (town.offer.duration - HOUR).total_seconds()
    assert "usage.waived" in town.journalled(id)


def test_a_waiver_does_not_throw_away_a_reading(town: Town) -> None:
    """The site answers after all: no gap."""
    id = town.active()
    metering.waive(town.ctx, id, actor="test")
    end(town)
    town.work()
    assert used(town, id)["gaps_seconds"] == {}


def test_what_is_gone_cannot_be_waived(town: Town) -> None:
    """There is nothing to read any more."""
    id = town.active()
    end(town)
    town.work()
    with pytest.raises(RuleError) as refused:
        metering.waive(town.ctx, id, actor="test")
    assert refused.value.code == "not_usable"


class Ahead(Forgetful):
    """A site whose clock is a day ahead."""

    def usage(self, account: str, since: object) -> list[Usage]:
        return [Usage(START + 24 * HOUR, START + 24 * HOUR + MINUTE, MINUTE, {"cpu": 5})]


def test_a_clock_that_was_ahead_hides_no_hour(town: Town) -> None:
    """What it said of tomorrow stays; all that comes until then is read as ever."""
    id, site = town.active(), town.sites["north"]
    town.advance(MINUTE)
    town.instead("north", Ahead(site, None))
    metering.read_site(town.ctx, "north")
    town.instead("north", site)
    town.advance(5 * HOUR)
    burn(town, id, 60)
    metering.read_site(town.ctx, "north")
    assert [row.hour for row in rows(town, id)][:6] == [START + nth * HOUR for nth in range(6)]
    assert gaps(town, id) == []


def test_a_site_whose_meters_say_what_cannot_be_is_not_believed(town: Town) -> None:
    """Nothing of it is kept, and the operator is told."""
    id = town.active()
    town.advance(HOUR)

    class Wild(Forgetful):
        def usage(self, account: str, since: object) -> list[Usage]:
            return [Usage(START, START + HOUR, HOUR, {"cpu": -5})]

    town.instead("north", Wild(town.sites["north"], None))
    done = metering.read_site(town.ctx, "north")
    assert "cpu: -5 is not an amount" in done.failed[id]
    assert rows(town, id) == []


@pytest.mark.parametrize(("with_chip", "missed"), [(LARGER, range(3, 8)), (OFFER, range(3))])
def test_a_chip_is_missed_only_while_the_offer_has_it(town: Town, with_chip: Offer, missed: range) -> None:
    """Three hours of a trial, five of a contract, of which one has a chip that nobody measured: shown and certified."""
    with town.store.write() as tx:
        sites.put_offer(tx, replace(with_chip, accelerators={"ascend-910b": 1}))
    id = town.active()
    town.advance(3 * HOUR)
    town.ask(id, after=5 * HOUR)
    town.work()
    assert town.account(id).state is State.CONTRACTED
    town.advance(5 * HOUR)
    town.work()
    town.advance(town.offer.grace)
    shown = shown_use.of(town.ctx, id)
    assert [shown.stint(START + nth * HOUR).offer.name for nth in (2, 3)] == [OFFER.name, LARGER.name]
    assert {one.hour: one.missing for one in shown.hours if one.meter == "chip:ascend-910b"} == {
        START + nth * HOUR: HOUR for nth in missed}
    town.work()
    assert used(town, id)["gaps_seconds"] == {"chip:ascend-910b": len(missed) * 3600}
