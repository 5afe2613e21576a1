"""What a contract costs: base price by resource and chip, less the class's and the term's discount, and never below
30 % of the base price (before any cash voucher)."""

from collections.abc import Mapping
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


@dataclass(frozen=True, slots=True)
class PriceLine:
    """So many units of a resource, at so much an hour each, for all of the contract's hours."""

    resource: str
    units: Decimal
    per_hour: Decimal
    amount: Decimal


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


def quote(prices: Prices, offer: Offer, customer_class: str, length: timedelta) -> Quote:
    """The price of an offer for so long. RuleError: class_unknown, price_missing, bad_end."""
    if customer_class not in prices.classes:
        raise RuleError("class_unknown", f"price list {prices.name}: customer class {customer_class!r} is not one of "
                                         f"{', '.join(sorted(prices.classes))}")
    if length <= timedelta():
        raise RuleError("bad_end", "the contract would end before it begins")
    hours = Decimal(length // timedelta(seconds=1)) / 3600
    lines = tuple(PriceLine(name, units, each, money.to_fen(units * each * hours))
                  for name, units, each in _resources(prices, offer))
    base = sum((line.amount for line in lines), money.ZERO)
    of_class, of_term = prices.classes[customer_class], _long(prices, length)
    price, floored = discounted(base, of_class, of_term)
    return Quote(hours, lines, base, customer_class, of_class, of_term, price, floored)


def discounted(base: Decimal, *discounts: Decimal) -> tuple[Decimal, bool]:
    """The base price less one discount after the other, and whether the floor held it up. The floor itself is rounded
    up: half a fen below 30 % would be below."""
    price = base
    for discount in discounts:
        price *= 1 - discount
    floor = (base * FLOOR).quantize(money.FEN, rounding=ROUND_CEILING)
    return max(money.to_fen(price), floor), price < base * FLOOR


def after_vouchers(price: Decimal, vouchers: Decimal) -> tuple[Decimal, Decimal]:
    """What is left to pay and what the cash vouchers took off it; they never pay more than the price."""
    taken = min(price, vouchers)
    return price - taken, taken


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
