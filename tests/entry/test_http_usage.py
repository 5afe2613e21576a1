"""GET /v1/accounts/{account}/usage: hours with their gaps, for whoever may see the account."""

import urllib.parse
from datetime import timedelta

import pytest

from orchestrator.flows.usage import metering
from orchestrator.store import accounts, usage
from orchestrator.store.usage import Measured
from tests.entry.http_site import usable
from tests.entry.http_world import World


def read(tenure: World, event: str) -> str:
    """An account of which a minute was measured."""
    id, _ = usable(tenure, event)
    with tenure.ctx.store.read() as tx:
        begun = accounts.record(tx, id).account.starts_at
    assert begun is not None
    with tenure.ctx.store.write() as tx:
        usage.put(tx, id, [Measured(begun, begun + timedelta(microseconds=1000), timedelta(milliseconds=1),
                                    {"cpu": 42})], tenure.clock())
    return id


def test_hours_are_shown_with_their_units(tenure: World) -> None:
    """Amounts are whole numbers in the meter's unit."""
    id = read(tenure, "usage-1")
    said = tenure.get(f"/v1/accounts/{id}/usage").json()
    assert said["units"]["cpu"] == "core-ms"
    assert [hour["amount"] for hour in said["hours"] if hour["meter"] == "cpu"] == [42]


def test_an_account_never_read_shows_no_hours(tenure: World) -> None:
    """And says that it was not read."""
    id, _ = usable(tenure, "usage-2")
    assert tenure.get(f"/v1/accounts/{id}/usage").json() == {"account": id, "read_until": None, "units": {},
                                                             "hours": []}


@pytest.mark.parametrize("period", [
    {"since": "2026-01-01T00:00:00Z", "until": "2026-03-01T00:00:00Z"},
    {"since": "2026-02-01T00:00:00Z", "until": "2026-01-01T00:00:00Z"}, {"since": "yesterday"}, {"month": "2026-01"}])
def test_a_period_that_is_none_or_too_long_is_refused(tenure: World, period: dict[str, str]) -> None:
    """400: bounded work for whoever asks."""
    id, _ = usable(tenure, f"usage-{urllib.parse.urlencode(period)[:40]}")
    assert tenure.get(f"/v1/accounts/{id}/usage", **period).status_code == 400


def test_another_senders_token_sees_nothing(tenure: World) -> None:
    """404, as for an account that is not there."""
    id, _ = usable(tenure, "usage-3")
    paths = (f"/v1/accounts/{id}/usage", "/v1/accounts/a222222222/usage")
    assert [tenure.get(path, "other").status_code for path in paths] == [404, 404]


def test_a_round_reads_what_the_door_shows(tenure: World) -> None:
    """From the site to the door."""
    id, _ = usable(tenure, "usage-4")
    tenure.clock.ahead += timedelta(seconds=1)
    metering.read_site(tenure.ctx, "mem", [id])
    assert tenure.get(f"/v1/accounts/{id}/usage").json()["read_until"] is not None
