"""Redemptions: one account an event, each refusal with its own code, nothing remembered of a refusal."""

from datetime import timedelta

import pytest

from orchestrator.flows.accounts import operate
from orchestrator.lifecycle.account import State
from orchestrator.lifecycle.errors import RuleError
from orchestrator.store import redemptions, senders, sites, vouchers
from orchestrator.store.senders import Sender
from orchestrator.store.sites import Places
from tests.flows.town import LARGER, START, Town, public_key


def _code(town: Town, **request: object) -> str:
    with pytest.raises(RuleError) as refused:
        town.redeem(**request)  # type: ignore[arg-type]
    return refused.value.code


def _trusted(town: Town) -> Sender:
    with town.store.write() as tx:
        return senders.add(tx, "trusted", "payload", None, START)[0]


def test_the_same_event_is_the_same_answer(town: Town) -> None:
    """Account and claim link, word for word, and years later."""
    code = town.codes()[0]
    first = town.redeem(code, "e-1")
    town.work()
    town.advance(timedelta(days=3000))
    assert town.redeem(code, "e-1") == first
    assert len(town.all()) == 1


def test_the_same_event_with_another_body_is_refused(town: Town) -> None:
    """409 at the door."""
    town.redeem(event="e-1")
    assert _code(town, event="e-1", body_hash="another") == "event_reused"


def test_a_voucher_is_redeemed_once(town: Town) -> None:
    """Another event with the same voucher makes no second account."""
    code = town.codes()[0]
    town.redeem(code)
    assert _code(town, code=code) == "voucher_used"
    assert len(town.all()) == 1


def test_each_bad_voucher_has_its_own_refusal(town: Town) -> None:
    """Unknown, void, expired, not yet valid."""
    with town.store.write() as tx:
        [void] = vouchers.issue(tx, town.sender.id, town.offer.name, 1, START, START + timedelta(days=1))
        vouchers.void(tx, vouchers.digest(town.store.keyring, town.sender.id, void))
        [early] = vouchers.issue(tx, town.sender.id, town.offer.name, 1, START + timedelta(days=1),
                                 START + timedelta(days=2))
        [late] = vouchers.issue(tx, town.sender.id, town.offer.name, 1, START - timedelta(days=2), START)
    assert [_code(town, code=code) for code in ("no-such-code", void, early, late)] == [
        "voucher_unknown", "voucher_void", "voucher_not_yet_valid", "voucher_expired"]


def test_another_senders_voucher_is_unknown(town: Town) -> None:
    """Codes belong to whom they were issued for."""
    with town.store.write() as tx:
        other, _ = senders.add(tx, "other", "codes", None, START)
    assert _code(town, code=town.codes()[0], sender=other) == "voucher_unknown"


def test_a_refusal_for_lack_of_capacity_is_not_remembered(town: Town) -> None:
    """The same event succeeds once there is a place; the voucher was never touched."""
    code = town.codes()[0]
    with town.store.write() as tx:
        sites.put_places(tx, "north", [])
    assert _code(town, code=code, event="e-1") == "no_capacity"
    with town.store.write() as tx:
        assert redemptions.find(tx, town.sender.id, "e-1") is None
        sites.put_places(tx, "north", [Places("north", town.offer.name, 1)])
    assert town.account(town.redeem(code, "e-1").account).state is State.REQUESTED


def test_the_first_site_in_order_with_a_place_is_taken(two: Town) -> None:
    """A full or drained site is passed over."""
    with two.store.write() as tx:
        sites.put_places(tx, "north", [Places("north", two.offer.name, 1)])
    placed = [two.account(two.redeem().account).site for _ in range(2)]
    with two.store.write() as tx:
        sites.drain(tx, "south", True)
    assert placed == ["north", "south"]
    assert _code(two) == "no_capacity"


def test_a_site_that_does_not_answer_is_avoided(two: Town) -> None:
    """While another has a place."""
    two.ctx.sites.avoid("north", two.clock.at + timedelta(minutes=1))
    assert two.account(two.redeem().account).site == "south"


def test_a_trusted_payload_brings_offer_and_hours(town: Town) -> None:
    """The sender's word is enough, once for each code."""
    trusted = _trusted(town)
    id = town.redeem("their-code", sender=trusted, offer=town.offer.name, hours=48).account
    assert town.account(id).offer.duration == timedelta(hours=48)
    assert _code(town, code="their-code", sender=trusted, offer=town.offer.name, hours=48) == "voucher_used"


@pytest.mark.parametrize(("more", "code"), [
    ({"hours": 0}, "bad_hours"), ({"hours": -1}, "bad_hours"), ({"hours": 10**9}, "bad_hours"),
    ({"offer": "no-such"}, "offer_unknown"), ({"offer": None}, "offer_missing"),
    ({"valid_until": START}, "voucher_expired"), ({"valid_from": START + timedelta(1)}, "voucher_not_yet_valid"),
])
def test_a_trusted_payload_is_checked_all_the_same(town: Town, more: dict[str, object], code: str) -> None:
    """Its hours, offer and validity each have limits."""
    assert _code(town, **{"code": "c", "sender": _trusted(town), "offer": town.offer.name} | more) == code


def test_a_vouchers_offer_is_not_the_payloads_to_choose(town: Town) -> None:
    """For a sender whose codes we know, another offer in the payload is refused."""
    assert _code(town, offer=LARGER.name) == "offer_mismatch"


def test_a_key_that_cannot_be_read_is_refused_before_anything_is_written(town: Town) -> None:
    """The voucher is intact."""
    code = town.codes()[0]
    assert _code(town, code=code, ssh_public_key="ssh-ed25519 nonsense") == "bad_key"
    assert town.account(town.redeem(code, ssh_public_key=public_key()).account).state is State.REQUESTED


def test_a_held_sites_new_accounts_are_held(town: Town) -> None:
    """The brake is the site's, for those to come too."""
    operate.hold(town.ctx, True, site="north", actor="test")
    assert town.account(town.redeem().account).hold
