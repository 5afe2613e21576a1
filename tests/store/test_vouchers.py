"""Vouchers by keyed hash: redeemed once, each refusal its own, the code nowhere in the database."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal

import pytest

from orchestrator.lifecycle.errors import RuleError
from orchestrator.lifecycle.voucher import Voucher, VoucherState
from orchestrator.store import errors, programmes, redemptions, vouchers
from orchestrator.store.engine import Tx
from orchestrator.store.programmes import Grant
from orchestrator.store.redemptions import Redemption
from tests.store.making import NOW, OFFER, World, seconds

DAY = timedelta(days=1)


@pytest.fixture
def code(world: World) -> str:
    with world.store.write() as tx:
        return vouchers.issue(tx, world.sender, OFFER.name, 1, NOW, NOW + DAY)[0]


def digest(world: World, code: str) -> str:
    return vouchers.digest(world.store.keyring, world.sender, code)


def test_an_issued_voucher_is_redeemed(world: World, code: str) -> None:
    """Once redeemed it says so."""
    with world.store.write() as tx:
        vouchers.redeem(tx, digest(world, code), NOW)
        found = vouchers.get(tx, digest(world, code))
    assert found is not None
    assert found.state is VoucherState.REDEEMED


@pytest.mark.parametrize(("spoil", "at", "reason"), [
    (lambda tx, digest: vouchers.redeem(tx, digest, NOW), NOW, "voucher_used"),
    (vouchers.void, NOW, "voucher_void"),
    (lambda tx, digest: vouchers.expire(tx, NOW + DAY), NOW, "voucher_expired"),
    (lambda tx, digest: None, NOW + DAY, "voucher_expired"),
    (lambda tx, digest: None, NOW - seconds(1), "voucher_not_yet_valid"),
], ids=["used", "void", "marked expired", "expired", "early"])
def test_each_refusal_is_its_own(world: World, code: str, spoil: Callable[[Tx, str], object], at: object,
                                 reason: str) -> None:
    """The code of the refusal says why."""
    with world.store.write() as tx:
        spoil(tx, digest(world, code))
        with pytest.raises(RuleError) as refused:
            vouchers.redeem(tx, digest(world, code), at)  # type: ignore[arg-type]
    assert refused.value.code == reason


def test_an_unknown_code_is_refused(world: World) -> None:
    """Nobody issued it."""
    with world.store.write() as tx, pytest.raises(RuleError) as refused:
        vouchers.redeem(tx, digest(world, "NO-SUCH-CODE"), NOW)
    assert refused.value.code == "voucher_unknown"


def test_another_senders_code_is_unknown(world: World, code: str) -> None:
    """A sender cannot redeem what another issued."""
    assert vouchers.digest(world.store.keyring, "another", code) != digest(world, code)


def test_of_many_at_once_one_redeems(world: World, code: str) -> None:
    """40 at once on one voucher: one gets it."""
    def redeem(_: int) -> bool:
        try:
            with world.store.write() as tx:
                vouchers.redeem(tx, digest(world, code), NOW)
            return True
        except RuleError:
            return False

    with ThreadPoolExecutor(10) as pool:
        assert sum(pool.map(redeem, range(40))) == 1


def test_a_restored_voucher_is_usable(world: World, code: str) -> None:
    """After a FAILED account is shown gone, its voucher can be used again."""
    with world.store.write() as tx:
        vouchers.redeem(tx, digest(world, code), NOW)
        vouchers.restore(tx, digest(world, code))
        assert vouchers.redeem(tx, digest(world, code), NOW).state is VoucherState.ISSUED


def test_a_void_voucher_is_not_restored(world: World, code: str) -> None:
    """Restoring gives back a use, not a right."""
    with world.store.write() as tx:
        vouchers.void(tx, digest(world, code))
        vouchers.restore(tx, digest(world, code))
        found = vouchers.get(tx, digest(world, code))
    assert found is not None
    assert found.state is VoucherState.VOID


def test_a_redeemed_voucher_cannot_be_voided(world: World, code: str) -> None:
    """There is an account by then: that is what to act on."""
    with world.store.write() as tx:
        vouchers.redeem(tx, digest(world, code), NOW)
        with pytest.raises(errors.Conflict):
            vouchers.void(tx, digest(world, code))


def test_a_trusted_senders_voucher_is_taken_once(world: World) -> None:
    """What the payload describes becomes known, redeemed."""
    described = Voucher("d" * 64, OFFER.name, VoucherState.ISSUED, NOW, NOW + DAY)
    with world.store.write() as tx:
        vouchers.take(tx, described, world.sender, NOW)
        with pytest.raises(RuleError) as refused:
            vouchers.take(tx, described, world.sender, NOW)
    assert refused.value.code == "voucher_used"


def test_importing_twice_is_once(world: World) -> None:
    """Codes already known stay as they are."""
    with world.store.write() as tx:
        first = vouchers.import_(tx, world.sender, OFFER.name, ["A-1", "A-2", "A-2 "], NOW, NOW + DAY)
        vouchers.redeem(tx, digest(world, "A-1"), NOW)
        again = vouchers.import_(tx, world.sender, OFFER.name, ["A-1", "A-3"], NOW, NOW + DAY)
        left = vouchers.list_(tx, sender=world.sender, state=VoucherState.ISSUED)
    assert (first, again, len(left)) == (2, 1, 2)


def test_a_list_says_what_a_voucher_is_of_and_whose_account_it_made(world: World) -> None:
    """Its programme and worth, the account of its last redemption; of one that was given back, none."""
    with world.store.write() as tx:
        vouchers.import_(tx, world.sender, OFFER.name, ["A-1", "A-2", "A-3"], NOW, NOW + DAY)
        programmes.grant(tx, Grant(digest(world, "A-1"), "p", Decimal("24.5")))
        for nth, code in enumerate(("A-1", "A-2", "A-2", "A-3")):
            vouchers.restore(tx, digest(world, code))
            vouchers.redeem(tx, digest(world, code), NOW)
            redemptions.remember(tx, Redemption(f"e-{nth}", world.sender, "hash", digest(world, code), f"account-{nth}",
                                                NOW + nth * timedelta(seconds=1)))
        vouchers.restore(tx, digest(world, "A-3"))
        found = {row.voucher.digest: (row.programme, row.worth, row.account) for row in vouchers.list_(
            tx, sender=world.sender, limit=3)}
    assert [found[digest(world, code)] for code in ("A-1", "A-2", "A-3")] == [
        ("p", Decimal("24.5"), "account-0"), (None, None, "account-2"), (None, None, None)]


def test_a_validity_that_ends_before_it_begins_is_refused(world: World) -> None:
    """No voucher is made that could never be used."""
    with world.store.write() as tx, pytest.raises(RuleError) as refused:
        vouchers.issue(tx, world.sender, OFFER.name, 1, NOW, NOW)
    assert refused.value.code == "bad_validity"


def test_codes_differ(world: World) -> None:
    """A thousand codes, a thousand vouchers."""
    with world.store.write() as tx:
        assert len(set(vouchers.issue(tx, world.sender, OFFER.name, 1000, NOW, NOW + DAY))) == 1000
