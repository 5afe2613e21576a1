"""Vouchers in kind by the meter: taken from their credit as they are used, and lasting until they are used up."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

from orchestrator.flows.money import contract
from orchestrator.flows.usage import metering
from orchestrator.flows.vouchers import in_kind
from orchestrator.flows.work.rounds import Rounds
from orchestrator.lifecycle.account import State
from orchestrator.store import ledger, price_lists, sites
from orchestrator.store.sites import Places
from tests.flows.money.test_contract import PRICES
from tests.flows.scheme import apply, balance, checked, programme, redeem
from tests.flows.town import START, Town

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
CHIP = "ascend-910b"


def in_use(town: Town, account: str, chips: int) -> None:
    """So many of its chips run from now on."""
    with town.sites["north"].keeper.held() as world:
        world.tenancies[account].chips = {CHIP: chips}


def usable(town: Town, hours: int = 100, within: timedelta | None = 30 * DAY) -> str:
    """An account on four chips for so many chip-hours; none of them runs yet."""
    town.offer = replace(town.offer, accelerators={CHIP: 4}, warn_before=())
    of = programme("guizhou-in-kind", use_within=within)
    apply(town, of)
    account = redeem(town, of, str(hours)).account
    town.work()
    assert town.account(account).state is State.ACTIVE
    in_use(town, account, 0)
    return account


def hour_passes(town: Town, hours: int = 1) -> None:
    """The meters are read each hour, as a worker's rounds do, and what is due is done."""
    for _ in range(hours):
        town.advance(HOUR)
        rounds = Rounds(town.ctx)
        rounds.tick()
        assert rounds.idle(30)
        town.work()


def left(town: Town, account: str) -> Decimal:
    return balance(town, f"credit/{account}/{CHIP}-hours")


def test_what_the_meter_counts_is_taken_from_the_credit(town: Town) -> None:
    """Two chips for three hours: 6 of 100; the sums agree."""
    account = usable(town)
    in_use(town, account, 2)
    hour_passes(town, 3)
    assert (left(town, account), balance(town, f"used/{account}/{CHIP}-hours")) == (Decimal(94), Decimal(6))
    assert checked(town) == []
    with town.store.read() as tx:
        assert ledger.credits_of(tx, account) == {f"{CHIP}-hours": Decimal(94)}


def test_a_reading_again_takes_nothing_more(town: Town) -> None:
    """The hour that a reading ended in is read again, whole."""
    account = usable(town)
    in_use(town, account, 4)
    town.advance(HOUR / 2)
    for _ in range(3):
        metering.read_site(town.ctx, "north")
    assert left(town, account) == 98
    town.advance(HOUR / 2)
    metering.read_site(town.ctx, "north")
    assert left(town, account) == 96


def test_hours_last_until_they_are_used_up(town: Town) -> None:
    """100 chip-hours on four chips were to end after 25 h; one chip alone uses them for 100 h, less one reading's
    time on all four."""
    account = usable(town)
    assert town.account(account).ends_at == START + 25 * HOUR
    in_use(town, account, 1)
    hour_passes(town, 96)
    assert town.account(account).state is State.ACTIVE
    hour_passes(town, 6)
    assert town.account(account).state is State.FENCED
    assert 96 <= 100 - left(town, account) <= 100
    assert "account.extended" not in town.told(account)


def test_at_full_use_they_end_when_they_always_did(town: Town) -> None:
    """25 h and not a second more; nothing is left."""
    account = usable(town)
    in_use(town, account, 4)
    hour_passes(town, 26)
    assert (town.account(account).fenced_at, left(town, account)) == (START + 25 * HOUR, Decimal(0))
    assert "account.stretched" not in town.journalled(account)


def test_a_dead_tenure_overdraws_nothing(town: Town) -> None:
    """Idle for a day, its end has moved; then all chips run and nobody looks: the site ends it in time."""
    account = usable(town)
    hour_passes(town, 24)
    armed = town.account(account).ends_at
    assert armed is not None
    assert armed > START + 40 * HOUR
    in_use(town, account, 4)
    town.advance(10 * DAY)
    there = town.tenancy(account)
    assert there is not None
    assert there.fenced_at == armed.timestamp()
    assert 4 * (armed - (START + 24 * HOUR)) <= 100 * HOUR


def test_idle_hours_end_with_the_programmes_limit(town: Town) -> None:
    """Two days after the account was ready."""
    account = usable(town, within=2 * DAY)
    hour_passes(town, 49)
    assert town.account(account).fenced_at == START + 2 * DAY


def test_a_limit_before_the_arithmetic_end_holds(town: Town) -> None:
    """100 hours on four chips within ten hours: ten."""
    assert town.account(usable(town, within=10 * HOUR)).ends_at == START + 10 * HOUR


def test_without_a_limit_they_end_by_arithmetic(town: Town) -> None:
    """The programme does not speak of it: as always, and the credit is metered all the same."""
    account = usable(town, within=None)
    in_use(town, account, 1)
    hour_passes(town, 26)
    assert (town.account(account).fenced_at, left(town, account)) == (START + 25 * HOUR, Decimal(75))


def test_a_gap_counts_as_used(town: Town) -> None:
    """The meters stand still for ten of twelve hours: the end moves by two at most."""
    account = usable(town)
    hour_passes(town)
    with town.sites["north"].keeper.held() as world:
        world.faults.unmetered_site = True
    hour_passes(town, 10)
    with town.sites["north"].keeper.held() as world:
        world.faults.unmetered_site = False
    hour_passes(town)
    ends = town.account(account).ends_at
    assert ends is not None
    assert ends <= START + 27 * HOUR


def test_where_others_have_the_place_the_end_stays(town: Town) -> None:
    """What they were promised is theirs."""
    account = usable(town)
    with town.store.write() as tx:
        until = START + 25 * HOUR + town.offer.grace
        sites.put_places(tx, "north", [Places("north", town.offer.name, 1, START, until)])
    hour_passes(town, 5)
    assert town.account(account).ends_at == START + 25 * HOUR


def test_what_a_contract_uses_is_not_the_vouchers(town: Town) -> None:
    """Four chips run for two hours before it and for two after it: 8 of 100."""
    account = usable(town)
    in_use(town, account, 4)
    hour_passes(town, 2)
    with town.store.write() as tx:
        price_lists.put(tx, replace(PRICES, chips={CHIP: Decimal(12)}))
    paper = contract.draft(town.ctx, account, "B", town.clock.at + DAY, actor="test")
    contract.sign(town.ctx, paper.id, paper.digest or "", actor="holder")
    town.work()
    hour_passes(town, 2)
    assert (town.account(account).state, left(town, account)) == (State.CONTRACTED, Decimal(92))


def test_hours_last_as_long_as_was_said_when_they_were_redeemed(town: Town) -> None:
    """Their programme gives others one day, or none: these have thirty."""
    account = usable(town)
    for within in (DAY, None):
        apply(town, programme("guizhou-in-kind", use_within=within))
        hour_passes(town, 24)
    ends = town.account(account).ends_at
    assert ends is not None
    assert ends > START + 60 * HOUR


def test_only_vouchers_in_kind_are_counted(town: Town) -> None:
    """A trial has no such credit."""
    account = town.active()
    with town.store.read() as tx:
        assert in_kind.of(tx, account) is None
