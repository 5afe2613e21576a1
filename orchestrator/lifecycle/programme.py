"""Programmes: who may hold a voucher, what it gives, and within which pool and caps. Data, read from a file."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from orchestrator.lifecycle import money
from orchestrator.lifecycle.booking import MOST_AHEAD
from orchestrator.lifecycle.errors import RuleError
from orchestrator.lifecycle.holder import Holder, HolderKind
from orchestrator.lifecycle.offer import MAX_DURATION, Offer
from orchestrator.lifecycle.periods import Period

HOURS = "hours"
YUAN = "CNY"


class Benefit(StrEnum):
    """What a voucher gives: hours on an offer, resource-hours, money off a contract's bill, a share of a payment."""

    TRIAL = "trial"
    IN_KIND = "in-kind"
    CASH = "cash"
    SUBSIDY = "subsidy"


class Where(StrEnum):
    INSIDE = "inside"
    OUTSIDE = "outside"
    ANY = "any"


@dataclass(frozen=True, slots=True)
class Limit:
    """At most so much, and so many vouchers, in each period; None: no limit."""

    per: Period
    amount: Decimal | None = None
    vouchers: int | None = None


@dataclass(frozen=True, slots=True)
class Programme:
    """One scheme. Amounts are in `unit`: yuan for money, hours of the account (trial) or of the resource (in kind)."""

    name: str
    benefit: Benefit
    title_zh: str
    title_en: str
    offer: str = ""
    """What an account gets (trial, in kind)."""
    resource: str = ""
    """The chip that resource-hours are counted in (in kind)."""
    least: Decimal = Decimal(0)
    most: Decimal = Decimal(0)
    """What one voucher may be worth."""
    share: Decimal = Decimal(0)
    """Of a payment, for a subsidy: 0.30 is 30 %."""
    holders: tuple[HolderKind, ...] = tuple(HolderKind)
    categories: tuple[str, ...] = ()
    """A holder needs one of these; empty: anybody."""
    priority: tuple[str, ...] = ()
    """These come first in a draw and in its waiting list. It excludes nobody (重点支持)."""
    city: str = ""
    where: Where = Where.ANY
    first_use: bool = False
    attestations: tuple[str, ...] = ()
    starts: datetime | None = None
    ends: datetime | None = None
    valid_for: timedelta = timedelta(days=30)
    pool: Limit = Limit(Period.EVER)
    cap: Limit = Limit(Period.EVER)
    offered_weekly: Decimal | None = None
    """A week's draw offers at least so much."""
    warn_before: tuple[timedelta, ...] | None = None
    grace: timedelta | None = None
    claim_within: timedelta | None = None
    """The clock starts at the first claim, at the latest so long after the account was ready; None: when ready."""
    scheduled: bool = False
    """The clock starts at a time that the holder chooses when redeeming; not: they may, and need not."""
    begins_at: datetime | None = None
    """The clock of all its accounts starts then; of those redeemed later, when ready."""
    book_ahead: timedelta = MOST_AHEAD
    """How far ahead a beginning may be chosen."""

    use_within: timedelta | None = None
    """Hours in kind end when the meter has used them up, at the latest so long after the account was ready; None: when
    they could have been used up at the earliest."""
    outage_credit: timedelta = timedelta()
    """The most by which outages of its site move one account's end."""

    @property
    def unit(self) -> str:
        """What amounts of this programme are counted in."""
        return {Benefit.TRIAL: HOURS, Benefit.IN_KIND: f"{self.resource}-hours"}.get(self.benefit, YUAN)

    @property
    def ahead(self) -> timedelta:
        """How far ahead who redeems may choose a beginning; not at all where all begin together."""
        return timedelta() if self.begins_at is not None else self.book_ahead

    def show(self, amount: Decimal) -> str:
        """An amount with its unit, for refusals."""
        if self.unit == YUAN:
            return money.show(amount)
        return f"{amount.normalize():,f} " + (f"h of {self.resource}" if self.resource else "h")

    def has_priority(self, holder: Holder) -> bool:
        """Whether the holder is of a category that comes first."""
        return bool(set(self.priority) & set(holder.categories))


def worth(programme: Programme, said: Decimal | None) -> Decimal:
    """What one voucher is worth: as said, or the programme's only value. RuleError `worth_out_of_range`,
    `no_vouchers`."""
    if programme.benefit is Benefit.SUBSIDY:
        raise RuleError("no_vouchers", f"programme {programme.name} is a subsidy: it has no vouchers; it is decided on "
                                       "a payment, with `tenure subsidy decide`")
    if said is None:
        if programme.least != programme.most:
            raise RuleError("worth_missing", f"programme {programme.name}: say what the voucher is worth, from "
                                             f"{programme.show(programme.least)} to {programme.show(programme.most)}")
        return programme.least
    if not programme.least <= said <= programme.most:
        raise RuleError("worth_out_of_range", f"programme {programme.name}: a voucher is worth "
                        f"{programme.show(programme.least)} to {programme.show(programme.most)}, not "
                        f"{programme.show(said)}")
    return said


def eligible(programme: Programme, holder: Holder, now: datetime) -> None:
    """RuleError that names the rule when this holder may not hold a voucher of the programme now."""
    name = f"programme {programme.name}"
    if programme.starts is not None and now < programme.starts:
        raise RuleError("programme_not_yet", f"{name}: begins at {programme.starts.isoformat()}")
    if programme.ends is not None and now >= programme.ends:
        raise RuleError("programme_over", f"{name}: ended at {programme.ends.isoformat()}")
    if holder.kind not in programme.holders:
        raise RuleError("holder_kind", f"{name}: holders are {', '.join(programme.holders)}, not {holder.kind.value}")
    if programme.categories and not set(programme.categories) & set(holder.categories):
        raise RuleError("holder_category", f"{name}: a holder needs one of the categories "
                                           f"{', '.join(programme.categories)}")
    inside = holder.city == programme.city
    if programme.where is Where.INSIDE and not inside:
        raise RuleError("holder_city", f"{name}: only for holders in {programme.city}")
    if programme.where is Where.OUTSIDE and (inside or not holder.city):
        raise RuleError("holder_city", f"{name}: only for holders outside {programme.city}")
    missing = [one for one in programme.attestations if one not in holder.attestations]
    if missing:
        raise RuleError("attestation_missing", f"{name}: the holder has to attest: {', '.join(missing)}")
    if holder.entity is None and holder.kind is not HolderKind.INDIVIDUAL and _per_entity(programme):
        raise RuleError("entity_missing", f"{name}: counts by entity; give the unified social credit code")


def _per_entity(programme: Programme) -> bool:
    return programme.first_use or programme.cap.amount is not None or programme.cap.vouchers is not None


def offer_under(programme: Programme, offer: Offer, amount: Decimal) -> Offer:
    """The offer as a voucher of this worth gives it. Resource-hours end when the offer's chips could have used them
    up, all of the time: they cannot be overdrawn, whoever reads the meter. RuleError `bad_hours`."""
    hours = amount
    if programme.benefit is Benefit.IN_KIND:
        chips = offer.accelerators.get(programme.resource, 0)
        if not chips:
            raise RuleError("resource_missing", f"programme {programme.name}: offer {offer.name} has no "
                                                f"{programme.resource}")
        hours = amount / chips
    duration = timedelta(seconds=int(hours * 3600))
    if programme.use_within is not None:
        duration = min(duration, programme.use_within)
    warn = offer.warn_before if programme.warn_before is None else programme.warn_before
    grace = offer.grace if programme.grace is None else programme.grace
    whole = duration + (programme.claim_within or timedelta())
    if not timedelta() < whole <= MAX_DURATION:
        raise RuleError("bad_hours", f"programme {programme.name}: {programme.show(amount)} would last {whole}")
    return replace(offer, duration=whole, warn_before=warn, grace=grace)


@dataclass(frozen=True, slots=True)
class Share:
    """What a payment earns. `capped`: the share itself would have been more."""

    amount: Decimal
    capped: bool


def subsidy(programme: Programme, paid: Decimal, left: Decimal | None) -> Share:
    """The programme's share of what was actually paid, half-up to the fen, at most what is `left` of the cap."""
    exact = programme.share * paid
    if left is not None and exact > left:
        return Share(left, True)
    return Share(money.to_fen(exact), False)


def enough_offered(programme: Programme, offered: Decimal) -> None:
    """RuleError `week_short` when a week's draw offers less than the programme promises."""
    if programme.offered_weekly is not None and offered < programme.offered_weekly:
        raise RuleError("week_short", f"programme {programme.name}: at least {programme.show(programme.offered_weekly)}"
                                      f" are offered a week, not {programme.show(offered)}")
