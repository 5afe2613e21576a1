"""Outages of sites: when an account could not be used through no fault of its holder, and for how long that is made
good. An instant is made good once, however many outages it lies in."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TypeAlias

from orchestrator.lifecycle.account import USABLE, Account

Span: TypeAlias = tuple[datetime, datetime]
"""[since, until)."""


class Outcome(StrEnum):
    """What an outage meant for one account."""

    EXTENDED = "extended"
    """Its end was moved by all of it."""
    LIMITED = "limited"
    """Its end was moved by what the programme's limit had left."""
    LIMIT_USED = "limit_used"
    NO_CREDIT = "no_credit"
    """Its programme gives none, or it has none."""
    BILL = "bill"
    """It is on a contract: these hours are not counted."""
    BILL_CLOSED = "bill_closed"
    """It is on a contract, and the bills of all these hours were closed before: they stay as they are."""
    FENCED = "fenced"
    """It was fenced before the credit came: an end that was reached is never moved."""
    NO_PLACE = "no_place"
    """Others hold its place right after its end. Tried again until its end."""


MOVED = frozenset({Outcome.EXTENDED, Outcome.LIMITED})
ON_CONTRACT = frozenset({Outcome.BILL, Outcome.BILL_CLOSED})


@dataclass(frozen=True, slots=True)
class Outage:
    """The site could not be used in [since, until). `said_by` is `site:<name>` or the operator."""

    id: str
    site: str
    since: datetime
    until: datetime
    said_by: str
    why: str
    said_at: datetime
    settled_at: datetime | None = None
    """When every account that it concerns had its outcome."""

    @property
    def span(self) -> Span:
        return self.since, self.until


class NotYet(Exception):
    """Cannot be decided while the account is as it is; asked again later."""


def decide(account: Account, *, on_contract: bool, lost: timedelta, limit: timedelta,
           given: timedelta) -> tuple[Outcome, timedelta]:
    """What an outage that took `lost` of the lease means, and by how much the end is to move (or the bill to shrink).

    Of an account on a contract `lost` is what no closed bill has. `limit` is the most that the programme gives one
    account, of which `given` was given. Raises NotYet.
    """
    if on_contract:
        return (Outcome.BILL, lost) if lost else (Outcome.BILL_CLOSED, timedelta())
    if account.state not in USABLE or account.reclaim_asked:
        if account.liftable:
            raise NotYet(f"account {account.id} is fenced by an operator")
        return Outcome.FENCED, timedelta()
    if account.convert_asked:
        raise NotYet(f"account {account.id} is being converted")
    if not limit:
        return Outcome.NO_CREDIT, timedelta()
    left = limit - given
    if left <= timedelta():
        return Outcome.LIMIT_USED, timedelta()
    return (Outcome.EXTENDED, lost) if lost <= left else (Outcome.LIMITED, left)


def lease_of(account: Account) -> Span | None:
    """From the opening of logins to the fence, or to the end while there is none."""
    if account.starts_at is None or account.ends_at is None:
        return None
    return account.starts_at, min(account.fenced_at or account.ends_at, account.ends_at)


def clip(spans: Iterable[Span], since: datetime, until: datetime) -> list[Span]:
    """What of the spans lies within [since, until)."""
    cut = ((max(begin, since), min(end, until)) for begin, end in spans)
    return [(begin, end) for begin, end in cut if begin < end]


def union(spans: Iterable[Span]) -> list[Span]:
    """The same instants as spans that neither touch nor overlap, in order."""
    merged: list[Span] = []
    for begin, end in sorted(spans):
        if merged and begin <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(end, merged[-1][1])
        elif begin < end:
            merged.append((begin, end))
    return merged


def length(spans: Iterable[Span]) -> timedelta:
    """How long the spans are together; what lies in several counts once."""
    return sum((end - begin for begin, end in union(spans)), timedelta())


def owed(outage: Span, lease: Span, already: Iterable[Span]) -> timedelta:
    """How much of the lease this outage took that no outage `already` made good has taken."""
    taken = clip([outage], *lease)
    before = clip(already, *lease)
    return length([*before, *taken]) - length(before)
