"""What a contract costs: base price by resource and chip, less the class's and the term's discount, and never below
30 % of the base price (before any cash voucher)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import ROUND_CEILING, Decimal

from orchestrator.lifecycle import money
from orchestrator.lifecycle.errors import RuleError
from orchestrator.lifecycle.offer import Offer

FLOOR = Decimal("0.30")
CLASSES = ("A", "B", "C", "D", "E")
GIB = 2**30


@dataclass(frozen=True, slots=True)
class Prices:
    """A price list: yuan for an hour of one core, one GiB of memory, one GiB of storage, one chip of each kind."""

    name: str
    cpu: Decimal = money.ZERO
    memory: Decimal = money.ZERO
    storage: Decimal = money.ZERO
    chips: Mapping[str, Decimal] = field(default_factory=dict)
    classes: Mapping[str, Decimal] = field(default_factory=dict)
    """The discount of each customer class: 0.20 is 20 % off."""
    long_term: tuple[tuple[timedelta, Decimal], ...] = ()
    """A further discount for contracts of at least so long; the longest that fits counts."""
    metered: tuple[str, ...] = ()
    """Resources that are billed by what the meter counted, at most as reserved; all others as reserved."""


@dataclass(frozen=True, slots=True)
class PriceLine:
    """So many units of a resource, at so much an hour each. `amount` is for all of the contract's hours; of an open
    contract for one hour, exactly."""

    resource: str
    units: Decimal
    per_hour: Decimal
    amount: Decimal
    metered: bool = False


@dataclass(frozen=True, slots=True)
class Quote:
    """A price and how it came about. `floored`: the discounts alone would have gone below 30 %."""

    hours: Decimal
    lines: tuple[PriceLine, ...]
    base: Decimal
    customer_class: str
    class_discount: Decimal
    long_discount: Decimal
    price: Decimal
    floored: bool


@dataclass(frozen=True, slots=True)
class Hourly:
    """What an hour of an open contract costs, not rounded: the bills of its months are."""

    lines: tuple[PriceLine, ...]
    base: Decimal
    customer_class: str
    class_discount: Decimal
    price: Decimal
    floored: bool


def quote(prices: Prices, offer: Offer, customer_class: str, length: timedelta) -> Quote:
    """The price of an offer for so long. RuleError: class_unknown, price_missing, bad_end."""
    of_class = _of_class(prices, customer_class)
    if length <= timedelta():
        raise RuleError("bad_end", "the contract would end before it begins")
    seconds = length // timedelta(seconds=1)
    lines = tuple(PriceLine(name, units, each, for_seconds(units * each, seconds), name in prices.metered)
                  for name, units, each in _resources(prices, offer))
    base = sum((line.amount for line in lines), money.ZERO)
    of_term = _long(prices, length)
    price, floored = discounted(base, of_class, of_term)
    return Quote(Decimal(seconds) / 3600, lines, base, customer_class, of_class, of_term, price, floored)


def hourly(prices: Prices, offer: Offer, customer_class: str) -> Hourly:
    """What an open contract costs an hour; nobody is bound for long, so there is no discount for it. RuleError:
    class_unknown, price_missing."""
    of_class = _of_class(prices, customer_class)
    lines = tuple(PriceLine(name, units, each, units * each, name in prices.metered)
                  for name, units, each in _resources(prices, offer))
    base = sum((line.amount for line in lines), Decimal(0))
    price = base * (1 - of_class)
    return Hourly(lines, base, customer_class, of_class, max(price, base * FLOOR), price < base * FLOOR)


def for_seconds(an_hour: Decimal, seconds: int) -> Decimal:
    """So much an hour, for so many seconds, half-up to the fen; the hours themselves are never rounded."""
    return money.to_fen(an_hour * seconds / 3600)


def discounted(base: Decimal, *discounts: Decimal) -> tuple[Decimal, bool]:
    """The base price less one discount after the other, and whether the floor held it up. The floor itself is rounded
    up: half a fen below 30 % would be below."""
    price = base
    for discount in discounts:
        price *= 1 - discount
    return max(money.to_fen(price), floor_of(base)), price < base * FLOOR


def steps(base: Decimal, price: Decimal, class_discount: Decimal, long_discount: Decimal,
          rounded: Callable[[Decimal], Decimal] = money.to_fen) -> tuple[Decimal, Decimal, Decimal]:
    """What the class's discount, the term's and the floor each make of base to price. Each is the difference of two
    rounded sums, so that they come to it exactly; one alone may be a fen off its own percentage."""
    after_class = rounded(base * (1 - class_discount))
    after_both = rounded(base * (1 - class_discount) * (1 - long_discount))
    return after_class - rounded(base), after_both - after_class, rounded(price) - after_both


def floor_of(base: Decimal) -> Decimal:
    """The least that may be asked for it, in whole fen."""
    return (base * FLOOR).quantize(money.FEN, rounding=ROUND_CEILING)


def after_vouchers(price: Decimal, vouchers: Decimal) -> tuple[Decimal, Decimal]:
    """What is left to pay and what the cash vouchers took off it; they never pay more than the price."""
    taken = min(price, vouchers)
    return price - taken, taken


def _of_class(prices: Prices, customer_class: str) -> Decimal:
    if customer_class not in prices.classes:
        raise RuleError("class_unknown", f"price list {prices.name}: customer class {customer_class!r} is not one of "
                                         f"{', '.join(sorted(prices.classes))}")
    return prices.classes[customer_class]


def _resources(prices: Prices, offer: Offer) -> list[tuple[str, Decimal, Decimal]]:
    missing = sorted(offer.accelerators.keys() - prices.chips.keys())
    if missing:
        raise RuleError("price_missing", f"price list {prices.name}: no price for chip {missing[0]!r}")
    found = [("cpu", Decimal(offer.cpu_milli) / 1000, prices.cpu),
             ("memory", Decimal(offer.memory) / GIB, prices.memory),
             ("storage", Decimal(offer.storage) / GIB, prices.storage)]
    return found + [(chip, Decimal(count), prices.chips[chip]) for chip, count in sorted(offer.accelerators.items())]


def _long(prices: Prices, length: timedelta) -> Decimal:
    return max(((least, discount) for least, discount in prices.long_term if length >= least),
               default=(timedelta(), Decimal(0)))[1]
