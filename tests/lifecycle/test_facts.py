"""The published schemes' figures, as literals, at their edges; and the example files agree with them."""

from datetime import timedelta
from decimal import Decimal

import pytest

from orchestrator.lifecycle import price, programme
from orchestrator.lifecycle.errors import RuleError
from orchestrator.lifecycle.periods import Period
from orchestrator.lifecycle.programme import Benefit
from tests.flows.scheme import example

TRIAL = example("nanjing-trial.yaml").programmes[0]
WUXI = example("wuxi-cash.yaml").programmes[0]
YANGZHOU = example("yangzhou-subsidy.yaml").programmes[0]
GUIZHOU, IN_KIND = example("guizhou.yaml").programmes
PRICES = example("nanjing-prices.yaml").prices[0]


@pytest.mark.parametrize("hours", ["24", "96"])
def test_a_trial_voucher_of_24_or_96_hours_passes(hours: str) -> None:
    """Nanjing: 24 to 96 h each."""
    assert programme.worth(TRIAL, Decimal(hours)) == Decimal(hours)


@pytest.mark.parametrize("hours", ["23", "97"])
def test_a_trial_voucher_of_23_or_97_hours_is_refused(hours: str) -> None:
    """The refusal names the rule's figures and the one asked for."""
    with pytest.raises(RuleError, match=f"24 h to 96 h, not {hours} h") as refused:
        programme.worth(TRIAL, Decimal(hours))
    assert refused.value.code == "worth_out_of_range"


def test_2400_hours_a_week_are_enough() -> None:
    """Nanjing: at least 2,400 h are offered a week."""
    programme.enough_offered(TRIAL, Decimal(2400))


def test_2399_hours_a_week_are_too_few() -> None:
    """One hour less fails, and says so."""
    with pytest.raises(RuleError, match="at least 2,400 h are offered a week, not 2,399 h"):
        programme.enough_offered(TRIAL, Decimal(2399))


def test_a_week_of_2400_hours_is_25_to_100_vouchers() -> None:
    """Of 96 h each, or of 24 h each."""
    assert TRIAL.offered_weekly is not None
    assert (TRIAL.offered_weekly / TRIAL.most, TRIAL.offered_weekly / TRIAL.least) == (Decimal(25), Decimal(100))


def test_vouchers_that_are_booked_ahead_have_24_to_96_hours_too() -> None:
    """Nanjing: part of the capacity is booked before it is online; the beginning is chosen when redeeming."""
    ahead = example("nanjing-ahead.yaml").programmes[0]
    assert (ahead.least, ahead.most, ahead.scheduled) == (Decimal(24), Decimal(96), True)


def test_nanjing_has_80_and_then_180_times_10_to_the_16() -> None:
    """0.8 EFLOPS, then 1.8 EFLOPS in all; one place of the example stands for 10^16 operations a second."""
    nanjing = example("jiangsu-sites.yaml").sites[0]
    assert nanjing.places is not None
    counts = [place.count for place in nanjing.places]
    assert [sum(counts[:nth]) * 10**16 for nth in (1, 2)] == [80 * 10**16, 180 * 10**16]


def test_the_network_has_hubs_cities_and_edges() -> None:
    """Jiangsu, "2+N+X": Nanjing and Suzhou are the hubs, Yangzhou is a city's, beside it an edge."""
    assert {site.name: site.tier for site in example("jiangsu-sites.yaml").sites} == {
        "nanjing": "hub", "suzhou": "hub", "yangzhou": "city", "yangzhou-edge": "edge"}


def test_wuxi_has_50_million_a_year() -> None:
    """50,000,000.00 yuan, in a civil year, for all entities together; no cap for one entity."""
    assert (WUXI.pool.amount, WUXI.pool.per, WUXI.cap.amount) == (Decimal("50000000.00"), Period.YEAR, None)


def test_priority_excludes_nobody() -> None:
    """重点支持: every category may hold."""
    assert (bool(WUXI.priority), WUXI.categories) == (True, ())


@pytest.mark.parametrize(("paid", "amount", "capped"), [
    ("6666666.66", "2000000.00", False), ("6666666.67", "2000000.00", True), ("6666666.64", "1999999.99", False),
    ("0.01", "0.00", False), ("0.02", "0.01", False), ("0.05", "0.02", False), ("1.15", "0.35", False)])
def test_yangzhou_pays_30_percent_half_up_and_at_most_2_million(paid: str, amount: str, capped: bool) -> None:
    """6,666,666.66 paid is within the cap, one fen more is beyond it; 0.015 rounds up to 0.02, 0.345 to 0.35."""
    assert programme.subsidy(YANGZHOU, Decimal(paid), Decimal("2000000.00")) == programme.Share(Decimal(amount), capped)


def test_yangzhou_as_written() -> None:
    """30 %, 2,000,000.00 for an entity in a year."""
    assert (YANGZHOU.share, YANGZHOU.cap.amount, YANGZHOU.cap.per) == (
        Decimal("0.30"), Decimal("2000000.00"), Period.YEAR)


def test_guizhou_has_100_million_in_cash_in_2024() -> None:
    """100,000,000.00 yuan, and vouchers in kind beside them."""
    assert (GUIZHOU.pool.amount, GUIZHOU.benefit, IN_KIND.benefit) == (
        Decimal("100000000.00"), Benefit.CASH, Benefit.IN_KIND)
    assert (GUIZHOU.starts.isoformat(), GUIZHOU.ends.isoformat()) == (  # type: ignore[union-attr]
        "2023-12-31T16:00:00+00:00", "2024-12-31T16:00:00+00:00")


def test_there_are_five_customer_classes() -> None:
    """A to E."""
    assert sorted(PRICES.classes) == ["A", "B", "C", "D", "E"]


@pytest.mark.parametrize(("base", "discounts", "expected", "floored"), [
    ("100.00", ("0.70",), "30.00", False), ("100.00", ("0.71",), "30.00", True), ("100.00", ("0.69",), "31.00", False),
    ("100.00", ("0.65", "0.15"), "30.00", True), ("100.00", ("1", "1"), "30.00", True), ("0.01", ("1",), "0.01", True),
    ("33.33", ("0.9",), "10.00", True), ("100.00", (), "100.00", False)])
def test_no_price_is_below_30_percent_of_the_base(base: str, discounts: tuple[str, ...], expected: str,
                                                  floored: bool) -> None:
    """Whatever is combined; 30 % of 33.33 is 9.999, and 9.99 would be below it."""
    assert price.discounted(Decimal(base), *map(Decimal, discounts)) == (Decimal(expected), floored)


@pytest.mark.parametrize("customer", ["A", "B", "C", "D", "E"])
@pytest.mark.parametrize("days", [1, 90, 364, 365, 3650])
def test_the_example_prices_never_go_below_30_percent(customer: str, days: int) -> None:
    """Every class with every term of the example file."""
    offer = next(one for one in example("../offers.yaml").offers if one.name == "inference")
    found = price.quote(PRICES, offer, customer, timedelta(days=days))
    assert found.price >= found.base * Decimal("0.30")


def test_a_cash_voucher_is_taken_off_after_the_floor() -> None:
    """It may pay all of it, and never more."""
    assert price.after_vouchers(Decimal("30.00"), Decimal("50.00")) == (Decimal("0.00"), Decimal("30.00"))
