"""A month's bill (账单): usage × price − discounts − cash vouchers. Every line names the rule and the rows it is from,
and the lines come to the total exactly.

Each month stands on its own and is never below 30 % of its base. A contract's last bill has one line more, so that
its bills come to what its hours cost as a whole: what was quoted stays true to the fen.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any

from orchestrator.lifecycle import money, price

HOUR = timedelta(hours=1)
SECOND = timedelta(seconds=1)
_BYTES = {"memory", "storage"}
_SHOWN = Decimal("0.000001")


class Rule(StrEnum):
    """Why a line is what it is."""

    RESERVED = "reserved"
    METERED = "metered"
    CLASS = "class-discount"
    TERM = "long-term-discount"
    FLOOR = "floor"
    ROUNDING = "rounding"
    VOUCHER = "cash-voucher"


@dataclass(frozen=True, slots=True)
class Rate:
    """What a contract says of one resource: so many units, at so much an hour each."""

    resource: str
    units: Decimal
    per_hour: Decimal
    metered: bool = False

    @property
    def meter(self) -> int:
        """How many of the meter's units are one unit for an hour: milliseconds of cores and chips, seconds of bytes."""
        return price.GIB * 3600 if self.resource in _BYTES else 3_600_000

    def cost(self, amount: Decimal) -> Decimal:
        """What so many of the meter's units cost."""
        return money.to_fen(self.per_hour * amount / self.meter)

    def reserved(self, seconds: int) -> Decimal:
        """As many of the meter's units as there can be in so many seconds."""
        return self.units * seconds * (self.meter // 3600)


@dataclass(frozen=True, slots=True)
class Terms:
    """What a signed contract's paper says of its price."""

    contract: str
    prices: str
    customer_class: str
    class_discount: Decimal
    long_discount: Decimal
    rates: tuple[Rate, ...]

    @classmethod
    def of(cls, contract: str, said: Mapping[str, Any]) -> "Terms":
        """From a paper's terms."""
        return cls(contract, said["prices"], said["class"], Decimal(said["class_discount"]),
                   Decimal(said["long_discount"]),
                   tuple(Rate(line["resource"], Decimal(line["units"]), Decimal(line["per_hour"]),
                              line.get("metered", False)) for line in said["lines"]))

    def after_discounts(self, base: Decimal) -> Decimal:
        """The price of this base, never below its floor."""
        return price.discounted(base, self.class_discount, self.long_discount)[0]


@dataclass(frozen=True, slots=True)
class Reading:
    """What the meter of one resource counted within a month, from which hours, and which hours it does not know."""

    amount: int = 0
    hours: tuple[datetime, ...] = ()
    gaps: tuple[datetime, ...] = ()


@dataclass(frozen=True, slots=True)
class Use:
    """What there was of a contract in a month: whole seconds in force, those of its site's outages, and readings."""

    since: datetime
    until: datetime
    seconds: int
    credited: int = 0
    readings: Mapping[str, Reading] = field(default_factory=dict)
    last: bool = False
    """Whether the contract is over by the end of it."""

    @property
    def counted(self) -> int:
        return max(0, self.seconds - self.credited)


@dataclass(frozen=True, slots=True)
class Line:
    """`what` is a resource, a class, a programme; `figure` what the rule goes by; `rows` the rows it is made of: hours
    of a meter, a contract, an entry of the sums. `measured` is in the meter's own unit, `quantity` in unit-hours, both
    for reading only."""

    contract: str
    rule: Rule
    what: str
    figure: str
    amount: Decimal
    quantity: Decimal | None = None
    per_hour: Decimal | None = None
    measured: int | None = None
    rows: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Part:
    """One contract's part of a bill. `amounts` has what was charged of each resource, in its meter's units; `gaps` the
    hours in which nobody read a metered one, which cost nothing."""

    contract: str
    since: datetime
    until: datetime
    seconds: int
    credited: int
    base: Decimal
    price: Decimal
    lines: tuple[Line, ...]
    amounts: Mapping[str, Decimal]
    gaps: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Bill:
    """`until` is the month's end, or now where that is earlier: then the bill is not yet whole."""

    account: str
    month: str
    since: datetime
    until: datetime
    whole: bool
    parts: tuple[Part, ...]
    vouchers: tuple[Line, ...]
    closed_at: datetime | None = None
    unpriced: tuple[str, ...] = ()
    """Contracts in force in the month that have no price: nothing is asked for them."""

    @property
    def lines(self) -> tuple[Line, ...]:
        return tuple(line for part in self.parts for line in part.lines) + self.vouchers

    @property
    def base(self) -> Decimal:
        return sum((part.base for part in self.parts), money.ZERO)

    @property
    def price(self) -> Decimal:
        """Before any cash voucher."""
        return sum((part.price for part in self.parts), money.ZERO)

    @property
    def taken(self) -> Decimal:
        """What cash vouchers pay of it."""
        return -sum((line.amount for line in self.vouchers), money.ZERO)

    @property
    def total(self) -> Decimal:
        """What is to pay."""
        return self.price - self.taken


@dataclass(frozen=True, slots=True)
class Credit:
    """A redeemed cash voucher: its entry in the sums, its programme, its worth."""

    entry: str
    programme: str
    amount: Decimal


def whole_seconds(begun: datetime, since: datetime, until: datetime) -> int:
    """Whole seconds of [since, until), counted from the contract's beginning: those of all months come to the whole."""
    return (until - begun) // SECOND - (since - begun) // SECOND


def charge(terms: Terms, use: Use, earlier: Sequence[Part] = ()) -> Part:
    """A contract's part of one month's bill. `earlier` are its parts of the months before."""
    lines, amounts = [], {}
    for rate in terms.rates:
        amount = _counted(rate, use)
        amounts[rate.resource] = amount
        lines.append(_resource_line(terms, rate, use, amount))
    base = sum((line.amount for line in lines), money.ZERO)
    due = terms.after_discounts(base)
    lines += _discounts(terms, base, due)
    if use.last:
        more = _rounding(terms, amounts, base, due, earlier)
        lines += [Line(terms.contract, Rule.ROUNDING, "", "", more, rows=(terms.contract,))] if more else []
        due += more
    metered = {rate.resource for rate in terms.rates if rate.metered}
    gaps = {resource: spans(reading.gaps) for resource, reading in use.readings.items()
            if reading.gaps and resource in metered}
    return Part(terms.contract, use.since, use.until, use.seconds, use.credited, base, due, tuple(lines), amounts, gaps)


def _counted(rate: Rate, use: Use) -> Decimal:
    """What is charged, in the meter's units: never more than was reserved, whatever a meter says."""
    reserved = rate.reserved(use.counted)
    if not rate.metered:
        return reserved
    return min(Decimal(use.readings.get(rate.resource, Reading()).amount), reserved)


def _resource_line(terms: Terms, rate: Rate, use: Use, amount: Decimal) -> Line:
    reading = use.readings.get(rate.resource, Reading())
    rows = [f"meter/{rate.resource}/{span}" for span in spans(reading.hours)] if rate.metered else [terms.contract]
    if use.credited and not rate.metered:
        rows.append(f"outage/{use.credited}s")
    return Line(terms.contract, Rule.METERED if rate.metered else Rule.RESERVED, rate.resource, terms.prices,
                rate.cost(amount), (amount / rate.meter).quantize(_SHOWN), rate.per_hour,
                reading.amount if rate.metered else None, tuple(rows))


def _discounts(terms: Terms, base: Decimal, due: Decimal) -> list[Line]:
    """Base to price, a line for each step of it."""
    of_class, of_term, of_floor = price.steps(base, due, terms.class_discount, terms.long_discount)
    steps = ((Rule.CLASS, terms.customer_class, terms.class_discount, of_class),
             (Rule.TERM, "", terms.long_discount, of_term), (Rule.FLOOR, "", price.FLOOR, of_floor))
    return [Line(terms.contract, rule, what, f"{(share * 100).normalize():f}%", amount,
                 rows=(terms.contract,)) for rule, what, share, amount in steps if amount]


def _rounding(terms: Terms, amounts: Mapping[str, Decimal], base: Decimal, due: Decimal,
              earlier: Sequence[Part]) -> Decimal:
    """What makes all bills of the contract come to what its hours cost as a whole; never below this bill's floor."""
    whole = sum((rate.cost(sum((part.amounts[rate.resource] for part in earlier), amounts[rate.resource]))
                 for rate in terms.rates), money.ZERO)
    billed = sum((part.price for part in earlier), due)
    return max(terms.after_discounts(whole) - billed, price.floor_of(base) - due)


def pay(due: Decimal, credits: Iterable[Credit], spent: Decimal) -> tuple[Line, ...]:
    """What cash vouchers take off, the first redeemed first; `spent` was taken of them before. They never pay more than
    what is due, nor more than they have."""
    found = []
    for credit in credits:
        gone = min(credit.amount, spent)
        spent -= gone
        taken = min(credit.amount - gone, due)
        due -= taken
        if taken:
            found.append(Line("", Rule.VOUCHER, credit.programme, str(credit.amount), -taken, rows=(credit.entry,)))
    return tuple(found)


def spans(hours: Iterable[datetime]) -> tuple[str, ...]:
    """Hours as the spans that they make: `2026-11-01T00Z/2026-11-03T05Z`, each up to the end of its last hour."""
    found: list[tuple[datetime, datetime]] = []
    for hour in sorted(hours):
        if found and found[-1][1] == hour:
            found[-1] = (found[-1][0], hour + HOUR)
        else:
            found.append((hour, hour + HOUR))
    return tuple(f"{since.astimezone(UTC):%Y-%m-%dT%HZ}/{until.astimezone(UTC):%Y-%m-%dT%HZ}" for since, until in found)
