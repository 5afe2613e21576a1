"""What doors answer with: an account as others may see it. Never a name, a mail address or a secret."""

from datetime import datetime, timedelta
from typing import Any

from pydantic import BaseModel, Field

from orchestrator.lifecycle.account import State
from orchestrator.lifecycle.offer import Offer
from orchestrator.store.accounts import AccountRecord


class OfferOut(BaseModel):
    """Sizes in bytes, `rate` in bits a second, times in seconds."""

    name: str
    containers: int
    cpu_milli: int
    memory: int
    pids: int
    storage: int
    rate: int
    egress: int
    accelerators: dict[str, int]
    set_aside: bool
    precision: list[str]
    images: list[str]
    models: list[str]
    duration: float
    grace: float


class StuckOut(BaseModel):
    """What failed, since when, how often, and who acts next."""

    what: str
    since: datetime
    count: int
    next: str
    error: str | None = Field(default=None, description="operators only")
    remedy: str | None = Field(default=None, description="operators only")


class AccountOut(BaseModel):
    """One account."""

    id: str
    state: State
    since: datetime
    site: str
    offer: OfferOut
    sender: str
    redemption: str
    generation: int
    begins_at: datetime | None = Field(description="of a booked account: when it begins, or began")
    starts_at: datetime | None
    ends_at: datetime | None
    fenced_at: datetime | None
    fenced_by: str | None
    grace_until: datetime | None
    contract: str | None
    hold: bool
    reclaim_asked: bool
    convert_asked: bool
    owed: str | None = Field(description="what Tenure does next")
    due_at: datetime | None
    stuck: StuckOut | None


class AccountPage(BaseModel):
    """Accounts by id; `next` is the `after` of the page behind this one."""

    accounts: list[AccountOut]
    next: str | None


def account_out(record: AccountRecord, *, to_sender: bool) -> AccountOut:
    """An account as this caller may see it: a sender is told that something is stuck, not the site's inside."""
    account, stuck = record.account, record.stuck
    return AccountOut(
        id=account.id, state=account.state, since=account.since, site=account.site, offer=_offer(account.offer),
        sender=record.sender, redemption=account.redemption, generation=account.generation,
        begins_at=account.begins_at, starts_at=account.starts_at, ends_at=account.ends_at, fenced_at=account.fenced_at,
        fenced_by=account.fenced_by.value if account.fenced_by else None,
        grace_until=account.grace_until, contract=account.contract,
        hold=account.hold, reclaim_asked=account.reclaim_asked, convert_asked=account.convert_asked,
        owed=record.owed.value if record.owed else None, due_at=record.due_at,
        stuck=None if stuck is None else StuckOut(
            what=stuck.what, since=stuck.since, count=stuck.count, next=stuck.next,
            error=None if to_sender else stuck.error, remedy=None if to_sender else stuck.remedy))


def _offer(offer: Offer) -> OfferOut:
    plain: dict[str, Any] = {name: getattr(offer, name) for name in OfferOut.model_fields}
    plain |= {name: value.total_seconds() for name, value in plain.items() if isinstance(value, timedelta)}
    plain |= {name: list(plain[name]) for name in ("precision", "images", "models")}
    return OfferOut(**plain | {"accelerators": dict(offer.accelerators)})
