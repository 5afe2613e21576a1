"""What tests of outages share: an account that is owed for them, who tells of one, and what came of it."""

from datetime import datetime, timedelta

from orchestrator.flows.usage import outages
from orchestrator.lifecycle.account import State
from orchestrator.lifecycle.outage import Outage, Outcome
from orchestrator.store import outages as store
from orchestrator.store.outages import Credit
from tests.flows import scheme
from tests.flows.town import START, Town

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


def noted(town: Town) -> list[Outage]:
    with town.store.read() as tx:
        return store.list_(tx)
