"""A site's outage is made good once: a trial's end moves, within its limit; a contract's hours do not count."""

from datetime import timedelta

from orchestrator.flows.accounts import extend, operate
from orchestrator.flows.usage import outages
from orchestrator.flows.vouchers.claim import claim
from orchestrator.flows.work.rounds import Rounds
from orchestrator.lifecycle.account import State
from orchestrator.lifecycle.outage import Outcome
from orchestrator.store import outages as store
from orchestrator.store import outbox, sites
from orchestrator.store.sites import Places
from providers.memory import meters
from tests.flows import scheme
from tests.flows.credited import HOUR, MINUTE, credits, moved, noted, outcomes, settle, tell, told, trial
from tests.flows.town import START, Town, public_key


def test_a_trials_end_moves_by_what_it_lost(town: Town) -> None:
    """Ninety minutes, here and at the site; journalled with the outage."""
    id = trial(town)
    town.advance(3 * HOUR)
    told(town, 1, 2.5)
    settle(town)
    assert (moved(town, id), outcomes(town, id)) == (90 * MINUTE, [(Outcome.EXTENDED, 5400)])
    assert town.journalled(id)[-1] == "account.credited"
    with town.store.read() as tx:
        [said] = outbox.find(tx, outbox.Filter(type="account.extended"))
    assert (said.data["by"], said.data["ends_at"]) == ("outage", (START + 25.5 * HOUR).isoformat())


def test_an_outage_of_which_the_site_tells_itself_is_made_good_in_a_round(town: Town) -> None:
    """Down and up again: found out by the round, without anybody's doing."""
    id = trial(town)
    with town.sites["north"].keeper.held() as world:
        meters.fall(world)
    town.advance(2 * HOUR)
    with town.sites["north"].keeper.held() as world:
        meters.rise(world)
    rounds = Rounds(town.ctx)
    rounds.tick()
    assert rounds.idle(30)
    assert moved(town, id) == 2 * HOUR
    assert credits(town, id)[0].outage == noted(town)[0].id
    assert noted(town)[0].said_by == "site:north"


def test_a_site_that_was_out_for_years_had_no_clock(town: Town) -> None:
    """Nothing is given for it: an operator tells of an outage as long as that."""
    id = trial(town)
    town.advance(5 * HOUR)
    with town.sites["north"].keeper.held() as world:
        world.outages.append((0.0, town.clock.at.timestamp() - 60))
    outages.swept(town.ctx, "north")
    assert (moved(town, id), noted(town)) == (timedelta(), [])


def test_twice_is_once(town: Town) -> None:
    """The same outage told and settled again moves nothing."""
    id = trial(town)
    town.advance(3 * HOUR)
    for _ in range(2):
        told(town, 1, 2)
        settle(town)
    assert (moved(town, id), len(credits(town, id)), len(noted(town))) == (HOUR, 1, 1)


def test_the_part_that_two_outages_share_is_made_good_once(town: Town) -> None:
    """The site's word and the operator's about the same night: four hours in all, not six."""
    id = trial(town)
    town.advance(5 * HOUR)
    told(town, 1, 4)
    settle(town)
    told(town, 0, 3)
    settle(town)
    assert (moved(town, id), outcomes(town, id)) == (4 * HOUR, [(Outcome.EXTENDED, 10800), (Outcome.EXTENDED, 3600)])


def test_only_what_the_lease_lost_is_made_good(town: Town) -> None:
    """The outage began before the lease did."""
    town.advance(HOUR)
    id = trial(town)
    town.advance(HOUR)
    told(town, 0, 2)
    settle(town)
    assert moved(town, id) == HOUR


def test_an_account_of_no_programme_gets_none(town: Town) -> None:
    """Shown as such."""
    id = town.active()
    town.advance(3 * HOUR)
    told(town, 1, 2)
    settle(town)
    assert outcomes(town, id) == [(Outcome.NO_CREDIT, 0)]


def test_an_end_that_was_reached_is_not_moved(town: Town) -> None:
    """Fenced at its end before anybody told of the outage: refused, shown, and the end stays."""
    id = trial(town)
    town.advance(24 * HOUR)
    town.work()
    told(town, 1, 2)
    settle(town)
    assert (town.account(id).state, outcomes(town, id)) == (State.FENCED, [(Outcome.FENCED, 0)])


def test_in_the_last_second_the_site_decides(town: Town) -> None:
    """Its end has come at the site and not yet here: the credit is refused and the fence recorded."""
    id = trial(town)
    town.advance(23 * HOUR)
    told(town, 1, 2)
    with town.sites["north"].keeper.held() as world:
        assert world.at is not None
        world.at += 7200
        world.tick()
    settle(town)
    assert (town.account(id).state, outcomes(town, id)) == (State.FENCED, [(Outcome.FENCED, 0)])


def test_one_that_an_operator_fenced_is_credited_when_the_fence_is_lifted(town: Town) -> None:
    """Not decided before."""
    id = trial(town)
    town.advance(3 * HOUR)
    told(town, 0, 2)
    operate.fence(town.ctx, id, actor="test")
    settle(town)
    assert outcomes(town, id) == []
    operate.unfence(town.ctx, id, actor="test")
    settle(town)
    assert (outcomes(town, id), moved(town, id)) == ([(Outcome.EXTENDED, 7200)], 2 * HOUR)


def test_before_its_clock_starts_nothing_is_lost(town: Town) -> None:
    """Out before the first claim, and again after it: only the second is made good, on the end that the claim set."""
    programme = scheme.programme("nanjing-trial", outage_credit=24 * HOUR, claim_within=48 * HOUR,
                                 cap=scheme.programme("nanjing-trial").pool)
    scheme.apply(town, programme)
    id = scheme.redeem(town, programme, "24").account
    town.work()
    town.advance(3 * HOUR)
    told(town, 1, 2)
    settle(town)
    assert outcomes(town, id) == []
    claim(town.ctx, id, public_key())
    ends_at = town.account(id).ends_at
    settle(town)
    assert town.account(id).ends_at == ends_at
    town.advance(2 * HOUR)
    told(town, 1, 4)
    settle(town)
    assert ends_at is not None
    assert (town.account(id).ends_at, outcomes(town, id)) == (ends_at + HOUR, [(Outcome.EXTENDED, 3600)])


def test_a_contracts_hours_are_not_counted(town: Town) -> None:
    """Its end stays; its bill leaves these seconds out."""
    id = trial(town)
    town.ask(id)
    town.work()
    ends_at = town.account(id).ends_at
    town.advance(5 * HOUR)
    told(town, 1, 3)
    settle(town)
    with town.store.read() as tx:
        seconds = store.credited_seconds(tx, id, START + 2 * HOUR, START + 10 * HOUR)
    assert (town.account(id).ends_at, outcomes(town, id), seconds) == (ends_at, [(Outcome.BILL, 7200)], 3600)


def test_where_others_have_the_place_it_is_refused_until_they_have_not(town: Town) -> None:
    """Not promised twice; once there is room, it is made good."""
    id = trial(town)
    with town.store.write() as tx:
        sites.put_places(tx, "north", [Places("north", town.offer.name, 1, START - HOUR,
                                              START + town.offer.duration + 3 * 24 * HOUR)])
    town.advance(3 * HOUR)
    told(town, 1, 2)
    settle(town)
    assert (outcomes(town, id), moved(town, id)) == ([(Outcome.NO_PLACE, 0)], timedelta())
    with town.store.write() as tx:
        sites.put_places(tx, "north", [Places("north", town.offer.name, 10)])
    settle(town)
    assert (outcomes(town, id), moved(town, id)) == ([(Outcome.EXTENDED, 3600)], HOUR)


def test_a_site_that_is_away_is_asked_again(town: Town) -> None:
    """Nothing is decided; when it is back, the end moves."""
    id = trial(town)
    town.advance(3 * HOUR)
    told(town, 1, 2)
    with town.sites["north"].keeper.held() as world:
        world.faults.dead = True
    settle(town)
    assert outcomes(town, id) == []
    with town.sites["north"].keeper.held() as world:
        world.faults.dead = False
    settle(town)
    assert moved(town, id) == HOUR


def test_accounts_of_other_sites_and_times_are_not_concerned(two: Town) -> None:
    """Only those that were there while it was out."""
    scheme.apply(two, scheme.programme("nanjing-trial", outage_credit=HOUR))
    id = two.active()
    two.advance(3 * HOUR)
    for site in ("north", "south"):
        tell(two, site, START - 2 * HOUR, START - HOUR)
    tell(two, "south", START, START + HOUR)
    for site in ("north", "south"):
        outages.settle(two.ctx, site)
    assert outcomes(two, id) == []
    assert all(one.settled_at is not None for one in noted(two))


def test_an_extension_by_hand_and_a_credit_add_up(town: Town) -> None:
    """Both go through the same door."""
    id = trial(town)
    town.advance(3 * HOUR)
    extend.extend(town.ctx, id, by=HOUR, actor="test")
    told(town, 1, 2)
    settle(town)
    assert moved(town, id) == 2 * HOUR
