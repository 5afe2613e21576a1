"""Reclaim: both clocks past grace, everything removed, shown to be gone, and signed."""

import json
from datetime import timedelta

from orchestrator.flows.accounts import operate
from orchestrator.flows.endings import certificate
from orchestrator.lifecycle.account import State
from orchestrator.lifecycle.due import Owed
from orchestrator.store import accounts, capacity, certificates
from orchestrator.store.certificates import Certificate
from providers.protocol import TryLater
from tests.flows.town import Town

SECOND, HOUR = timedelta(seconds=1), timedelta(hours=1)
RECLAIM = frozenset({Owed.RECLAIM})


def _past_grace(town: Town) -> str:
    id = town.active()
    town.advance(town.offer.duration)
    town.work()
    town.advance(town.offer.grace)
    return id


def _certificate(town: Town, id: str) -> Certificate | None:
    with town.store.read() as tx:
        return certificates.get(tx, id)


def test_after_grace_nothing_is_left(town: Town) -> None:
    """RECLAIMED: the site has no trace, the place is free, the sender is told."""
    id = _past_grace(town)
    town.work()
    with town.store.read() as tx:
        free = capacity.free(tx, "north", town.offer.name, town.clock.at)
    assert town.account(id).state is State.RECLAIMED
    assert town.tenancy(id) is None
    assert free == 1000
    assert town.told(id)[-1] == "account.reclaimed"


def test_within_grace_everything_is_kept(town: Town) -> None:
    """One second before grace is over, the data is there."""
    id = town.active()
    town.advance(town.offer.duration)
    town.work()
    town.advance(town.offer.grace - SECOND)
    town.work()
    assert town.account(id).state is State.FENCED


def test_our_clock_jumping_ahead_deletes_nothing(town: Town) -> None:
    """A year ahead on our side: fenced early at most; the site's clock says that grace goes on."""
    id = town.active()
    town.advance(town.offer.duration)
    town.work()
    town.clock.at += timedelta(days=365)
    town.work()
    tenancy = town.tenancy(id)
    assert town.account(id).state is State.FENCED
    assert tenancy is not None
    assert "storage" in tenancy.parts


def test_the_sites_clock_jumping_ahead_deletes_nothing(town: Town) -> None:
    """The site a year ahead: it fences at once, and nothing is deleted by our clock."""
    id = town.active()
    with town.sites["north"].keeper.held() as world:
        world.offset = timedelta(days=365).total_seconds()
        world.tick()
    town.work()
    town.advance(HOUR)
    town.work()
    tenancy = town.tenancy(id)
    assert town.account(id).state is State.ACTIVE
    assert tenancy is not None
    assert (tenancy.usable, "storage" in tenancy.parts) == (False, True)


def test_the_certificate_verifies_and_says_what_was_there(town: Town) -> None:
    """Its exact bytes verify; the inventory before lists the parts, the one after is empty."""
    id = _past_grace(town)
    town.work()
    signed = _certificate(town, id)
    assert signed is not None
    said = json.loads(signed.document)
    assert certificate.verifies(signed.document, signed.signature, certificate.public_key(town.store))
    assert {item["kind"] for item in said["inventory_before"]} >= {"account", "storage", "containers"}
    assert said["inventory_after"] == []


def test_one_changed_byte_does_not_verify(town: Town) -> None:
    """The signature is over the exact bytes."""
    id = _past_grace(town)
    town.work()
    signed = _certificate(town, id)
    assert signed is not None
    changed = signed.document.replace(b"clean-exit", b"Clean-exit")
    assert not certificate.verifies(changed, signed.signature, certificate.public_key(town.store))


def test_a_listing_that_fails_counts_as_not_empty(town: Town) -> None:
    """No RECLAIMED and no certificate while one kind cannot be listed; afterwards, both."""
    id = _past_grace(town)
    with town.sites["north"].keeper.held() as world:
        world.faults.unlisted = ["cron"]
    town.work()
    stuck = town.record(id).stuck
    assert town.account(id).state is State.RECLAIMING
    assert _certificate(town, id) is None
    assert stuck is not None
    assert (stuck.next, "cron" in stuck.error) == ("operator", True)
    with town.sites["north"].keeper.held() as world:
        world.faults.unlisted = []
    town.advance(HOUR)
    town.work()
    assert town.account(id).state is State.RECLAIMED


def test_what_cannot_be_removed_keeps_it_from_being_reclaimed(town: Town) -> None:
    """A sticky storage: STUCK, for ever tried again, never called clean."""
    id = _past_grace(town)
    with town.sites["north"].keeper.held() as world:
        world.faults.sticky = [id]
    for _ in range(4):
        town.work()
        town.advance(HOUR)
    stuck = town.record(id).stuck
    assert town.account(id).state is State.RECLAIMING
    assert stuck is not None
    assert stuck.count == 4


def test_an_interrupted_reclaim_keeps_the_first_inventory(town: Town) -> None:
    """Destroyed, then cut off: the certificate still lists what was there at first."""
    id = _past_grace(town)
    with town.sites["north"].keeper.held() as world:
        world.faults.unlisted = ["cron"]
    town.work()
    with town.sites["north"].keeper.held() as world:
        world.faults.unlisted = []
    town.advance(HOUR)
    town.work()
    signed = _certificate(town, id)
    assert signed is not None
    assert "storage" in {item["kind"] for item in json.loads(signed.document)["inventory_before"]}


def test_a_hold_stops_reclaim_and_not_the_fence(town: Town) -> None:
    """Held: fenced at its end, kept past its grace; let go: reclaimed."""
    id = town.active()
    operate.hold(town.ctx, True, account=id, actor="test")
    town.advance(town.offer.duration)
    town.work()
    assert town.account(id).state is State.FENCED
    town.advance(town.offer.grace + HOUR)
    town.work()
    assert town.account(id).state is State.FENCED
    operate.hold(town.ctx, False, account=id, actor="test")
    town.work()
    assert town.account(id).state is State.RECLAIMED


def test_a_hold_that_comes_after_the_claim_still_stops_it(town: Town) -> None:
    """Held between the claim and the first removal: nothing is removed."""
    id = _past_grace(town)
    with town.store.write() as tx:
        claimed = accounts.claim_due(tx, town.clock.at, "w1", RECLAIM, 1, 20 * SECOND)[0]
    operate.hold(town.ctx, True, site="north", actor="test")
    from orchestrator.flows.endings.reclaim import reclaim
    reclaim(town.ctx, claimed)
    assert town.account(id).state is State.FENCED


def test_an_operator_takes_it_back_before_its_end(town: Town) -> None:
    """Asked for: fenced first, then reclaimed without grace."""
    id = town.active()
    operate.reclaim(town.ctx, id, actor="test")
    town.work()
    assert town.account(id).state is State.RECLAIMED
    assert [action for action in town.journalled(id) if action in ("account.fenced", "account.reclaimed")] == [
        "account.fenced", "account.reclaimed"]


def test_a_dead_site_is_asked_again_and_holds_up_no_other(two: Town) -> None:
    """One site dead, all its accounts past grace: the other site's account is reclaimed in the same sweep."""
    ids = [two.redeem(code).account for code in two.codes(12)]
    two.work()
    two.advance(two.offer.duration)
    two.work()
    two.advance(two.offer.grace)
    lonely = two.account(ids[-1])
    two.stacks.failing = dict.fromkeys(ids[:-1], TryLater("site: does not answer"))
    two.work()
    assert two.account(lonely.id).state is State.RECLAIMED
    assert all(two.record(id).stuck is not None for id in ids[:-1])


def test_a_usable_accounts_voucher_is_not_given_back(town: Town) -> None:
    """It was used: the voucher stays redeemed."""
    code = town.codes()[0]
    town.redeem(code)
    town.work()
    town.advance(town.offer.duration)
    town.work()
    town.advance(town.offer.grace)
    town.work()
    with town.store.read() as tx:
        from orchestrator.store import vouchers
        states = {row.voucher.state.value for row in vouchers.list_(tx)}
    assert states == {"redeemed"}
