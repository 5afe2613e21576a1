"""A month's bill as arithmetic: prices, discounts, the floor, vouchers; every line adds up."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.lifecycle import price
from orchestrator.lifecycle.bill import (
    Bill,
    Credit,
    Part,
    Rate,
    Reading,
    Rule,
    Terms,
    Use,
    charge,
    pay,
    spans,
    whole_seconds,
)
from orchestrator.lifecycle.errors import RuleError
from orchestrator.lifecycle.paper import terms_of
from orchestrator.lifecycle.periods import month, months
from orchestrator.lifecycle.price import Prices
from orchestrator.lifecycle.times import zone
from tests.flows.town import OFFER

BEGUN = datetime(2026, 10, 31, 16, tzinfo=UTC)
"""Midnight of 1 November in Shanghai."""
HOUR = 3600
PRICES = Prices("nanjing", Decimal("10.00"), Decimal("0.05"), Decimal("0.01"), {"ascend-910b": Decimal("12.00")},
                {"A": Decimal("0.60"), "B": Decimal("0.45"), "D": Decimal("0.65"), "E": Decimal(0)},
                ((timedelta(days=90), Decimal("0.05")), (timedelta(days=365), Decimal("0.15"))))
CPU = Rate("cpu", Decimal("0.5"), Decimal("10.00"))
CHIP = Rate("ascend-910b", Decimal(4), Decimal("12.00"), metered=True)


def terms(*rates: Rate, of_class: str = "0", of_term: str = "0") -> Terms:
    return Terms("C-1", "nanjing", "B", Decimal(of_class), Decimal(of_term), rates or (CPU,))


def use(hours: int, **more: object) -> Use:
    return replace(Use(BEGUN, BEGUN + timedelta(hours=hours), hours * HOUR), **more)  # type: ignore[arg-type]


def amounts(part: Part) -> list[tuple[str, str]]:
    return [(line.rule.value, str(line.amount)) for line in part.lines]


def test_reserved_units_cost_their_hours() -> None:
    """Half a core at 10.00 for November's 720 h is 3,600.00; 45 % and 5 % off are 1,881.00."""
    part = charge(terms(of_class="0.45", of_term="0.05"), use(720))
    assert amounts(part) == [("reserved", "3600.00"), ("class-discount", "-1620.00"), ("long-term-discount", "-99.00")]
    assert part.price == Decimal("1881.00")


def test_class_and_term_together_stop_at_30_percent() -> None:
    """65 % and 15 % off would be 29.75 %: a line of its own holds it up."""
    part = charge(terms(of_class="0.65", of_term="0.15"), use(720))
    assert (part.price, amounts(part)[-1]) == (Decimal("1080.00"), ("floor", "9.00"))


def test_the_floor_is_never_rounded_down() -> None:
    """30 % of 0.05 is 0.015: 0.02 is asked."""
    part = charge(terms(Rate("cpu", Decimal("0.005"), Decimal("10.00")), of_class="1"), use(1))
    assert (part.base, part.price) == (Decimal("0.05"), Decimal("0.02"))


def test_half_a_fen_is_rounded_up() -> None:
    """0.5 core at 0.01 for an hour is 0.005."""
    assert charge(terms(Rate("cpu", Decimal("0.5"), Decimal("0.01"))), use(1)).price == Decimal("0.01")


def test_an_outage_is_not_counted() -> None:
    """10 of 720 hours: 50.00 less, and the line says so."""
    part = charge(terms(), use(720, credited=10 * HOUR))
    assert (part.price, part.lines[0].rows) == (Decimal("3550.00"), ("C-1", "outage/36000s"))


def test_an_outage_of_more_than_there_was_costs_nothing() -> None:
    """Never less than nothing."""
    assert charge(terms(), use(1, credited=2 * HOUR)).price == 0


def test_a_metered_resource_costs_what_was_measured() -> None:
    """Two chips for an hour of 720 reserved four: 24.00, from that hour's row; what is not known is not charged."""
    reading = Reading(2 * HOUR * 1000, (BEGUN,), (BEGUN + timedelta(hours=1),))
    part = charge(terms(CHIP), use(720, readings={"ascend-910b": reading}))
    assert (part.price, part.lines[0].quantity, part.lines[0].rows) == (
        Decimal("24.00"), Decimal(2), ("meter/ascend-910b/2026-10-31T16Z/2026-10-31T17Z",))
    assert part.gaps == {"ascend-910b": ("2026-10-31T17Z/2026-10-31T18Z",)}


def test_a_bill_says_nothing_of_the_gaps_of_what_is_reserved() -> None:
    """Beside a charge in full, they would deny it."""
    gap = Reading(0, (), (BEGUN,))
    part = charge(terms(CPU, CHIP), use(720, readings={"cpu": gap, "ascend-910b": gap}))
    assert list(part.gaps) == ["ascend-910b"]


def test_a_meter_never_charges_more_than_is_reserved() -> None:
    """It counted 5 chips of 4: the quote is the most there can be."""
    part = charge(terms(CHIP), use(1, readings={"ascend-910b": Reading(5 * HOUR * 1000, (BEGUN,))}))
    assert (part.price, part.lines[0].measured) == (Decimal("48.00"), 5 * HOUR * 1000)


def test_memory_and_storage_are_gib_hours() -> None:
    """Byte-seconds of 2 GiB for an hour at 0.05."""
    rate = Rate("memory", Decimal(2), Decimal("0.05"), metered=True)
    part = charge(terms(rate), use(1, readings={"memory": Reading(2 * 2**30 * HOUR, (BEGUN,))}))
    assert (part.price, part.lines[0].quantity) == (Decimal("0.10"), Decimal(2))


def test_a_meter_that_was_never_read_charges_nothing() -> None:
    """No row, no charge."""
    assert charge(terms(CHIP), use(720)).price == 0


def test_vouchers_pay_in_the_order_they_came_and_never_more_than_is_due() -> None:
    """70 was spent of the first 100: 30 of it, then 10 of the second."""
    credits = [Credit("redeem/a", "wuxi-cash", Decimal(100)), Credit("redeem/b", "guizhou-cash", Decimal(50))]
    lines = pay(Decimal(40), credits, Decimal(70))
    assert [(line.what, line.amount, line.rows) for line in lines] == [
        ("wuxi-cash", Decimal(-30), ("redeem/a",)), ("guizhou-cash", Decimal(-10), ("redeem/b",))]


def test_hours_in_a_row_are_one_span() -> None:
    """And a missing one cuts it."""
    hours = [BEGUN + timedelta(hours=nth) for nth in (0, 1, 3)]
    assert spans(hours) == ("2026-10-31T16Z/2026-10-31T18Z", "2026-10-31T19Z/2026-10-31T20Z")


@pytest.mark.parametrize("called", ["2026-13", "2026-1", "26-11", "2026-11-01", "", "１９26-11", "1999-01"])
def test_what_is_no_month_is_refused(called: str) -> None:
    """With how to write one."""
    with pytest.raises(RuleError) as caught:
        month(called, zone())
    assert caught.value.code == "bad_month"


def test_a_month_is_civil() -> None:
    """November in Shanghai begins at 16:00 UTC of 31 October; December is followed by January."""
    assert month("2026-11", zone()) == (BEGUN, datetime(2026, 11, 30, 16, tzinfo=UTC))
    assert month("2026-12", zone())[1] == datetime(2026, 12, 31, 16, tzinfo=UTC)


def bills(of: Terms, begun: datetime, until: datetime, credited: int = 0) -> list[Part]:
    """All bills of a contract without meters."""
    parts: list[Part] = []
    for called in months(begun, until, zone()):
        first, after = month(called, zone())
        since, end = max(first, begun), min(after, until)
        parts.append(charge(of, Use(since, end, whole_seconds(begun, since, end), credited, last=end == until), parts))
    return parts


BEGINNINGS = st.integers(0, 3 * 365 * 86_400_000).map(lambda ms: BEGUN + timedelta(milliseconds=ms))


@given(BEGINNINGS, st.integers(1, 400 * 86400), st.sampled_from("ABDE"), st.integers(10, 64_000))
def test_all_bills_come_to_the_quote(begun: datetime, seconds: int, customer: str, cpu: int) -> None:
    """To the fen, for whatever length and beginning; on the floor, less than a fen a bill more, and never less."""
    quoted = price.quote(PRICES, replace(OFFER, cpu_milli=cpu), customer, timedelta(seconds=seconds))
    of = Terms.of("C-1", terms_of("nanjing", quoted, begun))
    parts = bills(of, begun, begun + timedelta(seconds=seconds))
    over = sum(part.price for part in parts) - quoted.price
    assert sum(part.seconds for part in parts) == seconds
    assert over == 0 or 0 < over < Decimal("0.01") * len(parts)
    if not any(line.rule is Rule.FLOOR for part in parts for line in part.lines) and quoted.price > Decimal("100"):
        assert over == 0


@given(st.lists(st.tuples(st.integers(0, 5_000), st.integers(0, 2_000), st.booleans()), min_size=1, max_size=4),
       st.integers(0, 744 * HOUR), st.integers(0, 744 * HOUR), st.integers(0, 10**12), st.integers(0, 100),
       st.integers(0, 100), st.lists(st.integers(1, 10**7), max_size=4), st.integers(0, 10**7), st.booleans())
def test_every_bill_adds_up(rates: list[tuple[int, int, bool]], seconds: int, credited: int, measured: int,
                            of_class: int, of_term: int, fen: list[int], spent: int, last: bool) -> None:
    """Its lines come to its total; the price is 30 % of the base at least; cash pays at most the price, and at most
    what it has."""
    of = terms(*(Rate(f"chip-{nth}", Decimal(units) / 1000, Decimal(each) / 100, metered)
                 for nth, (units, each, metered) in enumerate(rates)),
               of_class=str(Decimal(of_class) / 100), of_term=str(Decimal(of_term) / 100))
    readings = {rate.resource: Reading(measured, (BEGUN,)) for rate in of.rates}
    part = charge(of, Use(BEGUN, BEGUN + timedelta(hours=744), seconds, credited, readings, last))
    credits = [Credit(f"e{nth}", "p", Decimal(one) / 100) for nth, one in enumerate(fen)]
    had, gone = sum((one.amount for one in credits), Decimal(0)), Decimal(spent) / 100
    made = Bill("a", "2026-11", BEGUN, BEGUN, True, (part,), pay(part.price, credits, gone))
    assert sum(line.amount for line in made.lines) == made.total
    assert made.price >= Decimal("0.30") * made.base
    assert Decimal(0) <= made.taken <= min(made.price, max(had - gone, Decimal(0)))
    assert made.total >= 0
    assert all(line.amount == line.amount.quantize(Decimal("0.01")) for line in made.lines)
