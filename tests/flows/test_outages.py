"""A site's outage is made good once: a trial's end moves, within its limit; a contract's hours do not count."""

from datetime import datetime, timedelta

import pytest

from orchestrator.flows import extend, operate, outages
from orchestrator.flows.claim import claim
from orchestrator.flows.documents import Documents, read
from orchestrator.flows.rounds import Rounds
from orchestrator.flows.yaml_fields import BadDocument
from orchestrator.lifecycle.account import State
from orchestrator.lifecycle.errors import RuleError
from orchestrator.lifecycle.outage import Outage, Outcome
from orchestrator.store import outages as store
from orchestrator.store import sites
from orchestrator.store.outages import Credit
from orchestrator.store.sites import Places
from providers.memory import meters
from tests.flows import scheme
from tests.flows.town import START, Town, public_key

HOUR, MINUTE, SECOND = timedelta(hours=1), timedelta(minutes=1), timedelta(seconds=1)


def trial(town: Town, limit: timedelta = 24 * HOUR, hours: str = "24") -> str:
    """A usable account of a programme that makes good outages up to the limit."""
    programme = scheme.programme("nanjing-trial", outage_credit=limit, cap=scheme.programme("nanjing-trial").pool)
    scheme.apply(town, programme)
    id = scheme.redeem(town, programme, hours).account
    town.work()
    assert town.account(id).state is State.ACTIVE
    return id


def told(town: Town, since: float, until: float) -> Outage:
    """An operator tells of an outage, in hours after START."""
    return tell(town, "north", START + since * HOUR, START + until * HOUR)


def tell(town: Town, site: str, since: datetime, until: datetime) -> Outage:
    made = outages.told(town.ctx, site, since, until, actor="test", why="power")
    outages.add(town.ctx, made)
    return made


def settle(town: Town) -> None:
    outages.settle(town.ctx, "north")


def credits(town: Town, id: str) -> list[Credit]:
    with town.store.read() as tx:
        return store.credits_of(tx, id)


def outcomes(town: Town, id: str) -> list[tuple[Outcome, int]]:
    return [(one.outcome, one.seconds) for one in credits(town, id)]


def moved(town: Town, id: str) -> timedelta:
    """By how much its end was moved, here and at its site alike."""
    account, tenancy = town.account(id), town.tenancy(id)
    assert account.ends_at is not None
    assert account.starts_at is not None
    assert tenancy is not None
    assert tenancy.end == account.ends_at.timestamp()
    return account.ends_at - account.starts_at - town.offer.duration


def test_a_trials_end_moves_by_what_it_lost(town: Town) -> None:
    """Ninety minutes, here and at the site; journalled with the outage."""
    id = trial(town)
    town.advance(3 * HOUR)
    told(town, 1, 2.5)
    settle(town)
    assert (moved(town, id), outcomes(town, id)) == (90 * MINUTE, [(Outcome.EXTENDED, 5400)])
    assert town.journalled(id)[-1] == "account.credited"


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
    assert credits(town, id)[0].outage == store_list(town)[0].id
    assert store_list(town)[0].said_by == "site:north"


def store_list(town: Town) -> list[Outage]:
    with town.store.read() as tx:
        return store.list_(tx)


def test_twice_is_once(town: Town) -> None:
    """The same outage told and settled again moves nothing."""
    id = trial(town)
    town.advance(3 * HOUR)
    for _ in range(2):
        told(town, 1, 2)
        settle(town)
    assert (moved(town, id), len(credits(town, id)), len(store_list(town))) == (HOUR, 1, 1)


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


@pytest.mark.parametrize(("limit", "expected"), [
    (2 * HOUR, (Outcome.EXTENDED, 7200)), (2 * HOUR - SECOND, (Outcome.LIMITED, 7199)),
    (SECOND, (Outcome.LIMITED, 1)), (timedelta(), (Outcome.NO_CREDIT, 0))])
def test_the_limits_edges(town: Town, limit: timedelta, expected: tuple[Outcome, int]) -> None:
    """Two hours lost: the limit itself, one second less, one second, none."""
    id = trial(town, limit)
    town.advance(3 * HOUR)
    told(town, 0, 2)
    settle(town)
    assert (outcomes(town, id), moved(town, id)) == ([expected], expected[1] * SECOND)


def test_the_limit_is_for_all_outages_together(town: Town) -> None:
    """What the first has left is the second's, and the third gets nothing."""
    id = trial(town, 90 * MINUTE)
    town.advance(6 * HOUR)
    for hour in (0, 2, 4):
        told(town, hour, hour + 1)
    settle(town)
    assert sorted(outcomes(town, id)) == [(Outcome.EXTENDED, 3600), (Outcome.LIMIT_USED, 0), (Outcome.LIMITED, 1800)]
    assert moved(town, id) == 90 * MINUTE


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
    assert all(one.settled_at is not None for one in store_list(two))


def test_an_extension_by_hand_and_a_credit_add_up(town: Town) -> None:
    """Both go through the same door."""
    id = trial(town)
    town.advance(3 * HOUR)
    extend.extend(town.ctx, id, by=HOUR, actor="test")
    told(town, 1, 2)
    settle(town)
    assert moved(town, id) == 2 * HOUR


@pytest.mark.parametrize(("since", "until"), [(2, 1), (1, 1), (2, 4), (-91 * 24, 0)])
def test_what_is_no_outage_is_refused(town: Town, since: float, until: float) -> None:
    """Without a length, not over, longer than a site remembers."""
    town.advance(3 * HOUR)
    with pytest.raises(RuleError) as refused:
        told(town, since, until)
    assert refused.value.code == "bad_span"


def test_an_outage_of_an_unknown_site_is_refused(town: Town) -> None:
    """By its name."""
    with pytest.raises(RuleError, match="no site 'west'"):
        tell(town, "west", START - HOUR, START)


PROGRAMME = "programmes:\n  - {{name: p, benefit: {benefit}, offer: o, hours: 24, outage_credit: {credit}}}\n"


def parsed(credit: str, benefit: str = "trial") -> Documents:
    return read(PROGRAMME.format(credit=credit, benefit=benefit), "p.yaml", ["memory"], START)


def test_a_programme_says_how_much_it_makes_good() -> None:
    """In its file; left out, nothing."""
    assert parsed("36h").programmes[0].outage_credit == 36 * HOUR
    assert read(PROGRAMME.replace(", outage_credit: {credit}", "").format(benefit="trial"), "p.yaml", ["memory"],
                START).programmes[0].outage_credit == timedelta()


@pytest.mark.parametrize("credit", ["much", "-1h", "400d"])
def test_a_programmes_mistake_has_its_place(credit: str) -> None:
    """File, line and field."""
    with pytest.raises(BadDocument, match=r"p.yaml:2: programmes\[0\].outage_credit"):
        parsed(credit)
