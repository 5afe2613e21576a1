"""Placement: what an offer asks for, free places, the operator's order; a site that fails is left for the next."""

from dataclasses import replace

import pytest

from orchestrator.flows.accounts import placement
from orchestrator.lifecycle.account import State
from orchestrator.lifecycle.due import Owed
from orchestrator.lifecycle.offer import Offer
from orchestrator.store import capacity, sites
from orchestrator.store.sites import Places, SiteRow
from tests.flows.town import OFFER, Town

PROVISION = frozenset({Owed.PROVISION})
ROWS = [
    SiteRow("cloud", "aws", "hub", {"city": "nanjing"}, order=1),
    SiteRow("lab", "linux", "edge", {"city": "suzhou"}, {"host_key": "pinned"}, order=2),
    SiteRow("center", "slurm", "hub", {"city": "nanjing", "chips": "mlu"},
            {"host_key": "pinned", "slurm": {"licence": "tenure", "chips": {"ascend-910b": "npu"}}},
            order=3),
]


@pytest.mark.parametrize(("asked", "expected"), [
    ({}, ["cloud", "lab", "center"]),
    ({"kinds": ("slurm", "linux")}, ["lab", "center"]),
    ({"tiers": ("hub",)}, ["cloud", "center"]),
    ({"labels": {"city": "nanjing"}}, ["cloud", "center"]),
    ({"labels": {"city": "nanjing"}, "kinds": ("slurm",)}, ["center"]),
    ({"accelerators": {"mlu": 2}}, ["center"]),
    ({"accelerators": {"mlu": 2, "ascend-910b": 1}}, ["center"]),
    ({"accelerators": {"gpu": 1}}, []),
    ({"tiers": ("city",)}, []),
    ({"set_aside": True}, ["center"]),
])
def test_only_sites_that_can_serve_it_are_asked(town: Town, asked: dict[str, object], expected: list[str]) -> None:
    """Kind, tier, labels and chips; then the operator's order."""
    offer: Offer = replace(OFFER, name="asked", **asked)  # type: ignore[arg-type]
    with town.store.write() as tx:
        sites.put_offer(tx, offer)
        for row in ROWS:
            sites.put(tx, row)
            sites.put_places(tx, row.name, [Places(row.name, offer.name, 1)])
        assert placement.candidates(tx, offer) == expected


def fault(town: Town, site: str, name: str, value: object) -> None:
    with town.sites[site].keeper.held() as world:
        setattr(world.faults, name, value)


def free(town: Town, site: str) -> int:
    with town.store.read() as tx:
        return capacity.free(tx, site, town.offer.name, town.clock.at)


def there(town: Town, site: str, account: str) -> bool:
    return town.sites[site].keeper.peek(lambda world: account in world.tenancies)


def test_a_site_that_does_not_answer_is_left_for_the_next(two: Town) -> None:
    """The account is made at the other site, and only there; its place went along."""
    fault(two, "north", "dead", True)
    id = two.redeem().account
    two.work(owed=PROVISION)
    account = two.account(id)
    fault(two, "north", "dead", False)
    assert (account.state, account.site) == (State.ACTIVE, "south")
    assert (there(two, "north", id), there(two, "south", id)) == (False, True)
    assert (free(two, "north"), free(two, "south")) == (1000, 999)
    assert "account.moved" in two.journalled(id)


def test_a_site_whose_clock_is_off_is_left_for_the_next(two: Town) -> None:
    """Nothing was made there."""
    with two.sites["north"].keeper.held() as world:
        world.offset = 3.0
    id = two.redeem().account
    two.work(owed=PROVISION)
    assert two.account(id).site == "south"
    assert not there(two, "north", id)


def test_a_site_that_says_no_shows_itself_empty_first(two: Town) -> None:
    """Full at the first call: nothing is left there, and a late worker's call is refused there for ever."""
    fault(two, "north", "full", True)
    id = two.redeem().account
    two.work(owed=PROVISION)
    tombstone = two.sites["north"].keeper.peek(lambda world: world.tombstones.get(id))
    assert (two.account(id).state, two.account(id).site) == (State.ACTIVE, "south")
    assert tombstone is not None


def test_a_site_that_cannot_show_itself_empty_keeps_the_account(two: Town) -> None:
    """Never two accounts: it stays, marked for an operator, though the other site is free."""
    fault(two, "north", "full", True)
    fault(two, "north", "unlisted", ["cron"])
    id = two.redeem().account
    two.work(owed=PROVISION)
    stuck = two.record(id).stuck
    assert two.account(id).site == "north"
    assert stuck is not None
    assert stuck.next == "operator"
    assert not there(two, "south", id)


def test_an_account_that_was_begun_stays_where_it_is(two: Town) -> None:
    """The site answered once and then died: what it holds nobody knows, so nobody else gets the account."""
    pending = ["first"]

    def die(operation: str, account: str) -> None:
        if pending:
            pending.clear()
            fault(two, "north", "dead", True)

    two.stacks.before = die
    id = two.redeem().account
    two.work(owed=PROVISION)
    assert two.account(id).site == "north"
    assert not there(two, "south", id)


def test_with_every_site_down_it_waits_and_comes_back(two: Town) -> None:
    """No chase from site to site: it is put off, and made once one of them answers."""
    for name in ("north", "south"):
        fault(two, name, "dead", True)
    id = two.redeem().account
    two.work(owed=PROVISION)
    assert two.record(id).stuck is not None
    fault(two, two.account(id).site, "dead", False)
    for _ in range(8):
        due = two.record(id).due_at
        assert due is not None
        two.advance_to(max(due, two.clock.at))
        two.work(owed=PROVISION)
        if two.account(id).state is State.ACTIVE:
            break
    assert two.account(id).state is State.ACTIVE
    assert there(two, "north", id) != there(two, "south", id)


def test_the_other_site_needs_a_free_place(two: Town) -> None:
    """Without one the account waits at its own site and keeps its place there."""
    with two.store.write() as tx:
        sites.put_places(tx, "south", [])
    fault(two, "north", "dead", True)
    id = two.redeem().account
    two.work(owed=PROVISION)
    assert two.account(id).site == "north"
    assert free(two, "north") == 999
