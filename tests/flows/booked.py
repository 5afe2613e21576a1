"""Bookings for tests: made, looked at, lived to their beginning."""

from datetime import datetime, timedelta

import pytest

from orchestrator.lifecycle.errors import RuleError
from orchestrator.store import capacity, sites
from orchestrator.store.sites import Places
from tests.flows.town import START, Town

HOUR, DAY, SECOND = timedelta(hours=1), timedelta(days=1), timedelta(seconds=1)
MONDAY = START + 7 * DAY


def book(town: Town, begins_at: datetime = MONDAY, **more: object) -> str:
    return town.redeem(begins_at=begins_at, **more).account  # type: ignore[arg-type]


def code(act: object, *args: object, **more: object) -> str:
    with pytest.raises(RuleError) as refused:
        act(*args, **more)  # type: ignore[operator]
    return refused.value.code


def places(town: Town, *these: Places) -> None:
    with town.store.write() as tx:
        for site in town.sites:
            sites.put_places(tx, site, [one for one in these if one.site == site])


def free(town: Town, at: datetime, site: str = "north") -> int:
    with town.store.read() as tx:
        return capacity.free(tx, site, town.offer.name, at)


def begun(town: Town, id: str) -> str:
    """Prepared, then at its beginning."""
    prepare_at = town.account(id).prepare_at
    assert prepare_at is not None
    if prepare_at > town.clock.at:
        town.advance_to(prepare_at)
    town.work()
    town.advance_to(MONDAY)
    town.work()
    return town.account(id).state.value
