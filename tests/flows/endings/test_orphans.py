"""Orphans: what is at a site without a live account; removed only when asked, and only they."""

import pytest

from orchestrator.flows.endings.orphans import orphans, remove
from orchestrator.lifecycle.errors import RuleError
from providers.memory.world import Tenancy
from providers.protocol import NeedsHuman
from tests.flows.town import Town

STRANGER = "azzzzzzzzz"


def _leave_behind(town: Town, id: str) -> None:
    with town.sites["north"].keeper.held() as world:
        world.tenancies[id] = Tenancy(end=town.clock.at.timestamp() + 9999, generation=7, strays=["cron"])


def test_a_live_account_is_no_orphan(town: Town) -> None:
    """Nor is one that is being made."""
    town.active()
    town.redeem()
    assert orphans(town.ctx, "north") == []


def test_what_nobody_owns_is_listed_and_left_alone(town: Town) -> None:
    """With what is there of it."""
    _leave_behind(town, STRANGER)
    [found] = orphans(town.ctx, "north")
    assert (found.account, found.why, [item.kind for item in found.leftovers]) == (STRANGER, "unknown",
                                                                                   ["stray", "lease"])
    assert town.sites["north"].accounts() == [STRANGER]


def test_when_asked_it_is_removed(town: Town) -> None:
    """And it cannot come back with an old generation."""
    _leave_behind(town, STRANGER)
    assert remove(town.ctx, "north", [STRANGER], actor="test") == []
    assert town.sites["north"].accounts() == []
    assert town.journalled(STRANGER) == ["orphan.removed"]


def test_a_reclaimed_account_that_reappears_is_an_orphan(town: Town) -> None:
    """Something brought it back: listed as reclaimed, removable."""
    id = town.active()
    town.advance(town.offer.duration)
    town.work()
    town.advance(town.offer.grace)
    town.work()
    with town.sites["north"].keeper.held() as world:
        world.tenancies[id] = Tenancy(end=0.0, generation=world.tombstones[id])
    assert [(one.account, one.why) for one in orphans(town.ctx, "north")] == [(id, "reclaimed")]
    assert remove(town.ctx, "north", [id], actor="test") == []


def test_a_live_account_is_never_removed_this_way(town: Town) -> None:
    """Whatever is typed."""
    id = town.active()
    with pytest.raises(RuleError) as refused:
        remove(town.ctx, "north", [id], actor="test")
    assert refused.value.code == "not_orphan"
    assert town.tenancy(id) is not None


def test_what_cannot_be_removed_is_said(town: Town) -> None:
    """Never called clean."""
    _leave_behind(town, STRANGER)
    with town.sites["north"].keeper.held() as world:
        world.faults.unlisted = ["cron"]
    with pytest.raises(NeedsHuman):
        remove(town.ctx, "north", [STRANGER], actor="test")
