"""When a voucher may be redeemed, and what each refusal is called."""

from datetime import timedelta

import pytest

from orchestrator.lifecycle.errors import RuleError
from orchestrator.lifecycle.voucher import Voucher, VoucherState, redeemable
from tests.lifecycle.making import HOUR, NOW

INSTANT = timedelta(microseconds=1)


def voucher(state: VoucherState = VoucherState.ISSUED) -> Voucher:
    return Voucher("d", "small", state, NOW, NOW + HOUR)


@pytest.mark.parametrize("at", [NOW, NOW + HOUR - INSTANT])
def test_within_its_validity_it_may(at: object) -> None:
    """From the first instant to the last."""
    assert redeemable(voucher(), at) == voucher()  # type: ignore[arg-type]


@pytest.mark.parametrize(("seen", "at", "code"), [
    (None, NOW, "voucher_unknown"),
    (voucher(), NOW - INSTANT, "voucher_not_yet_valid"),
    (voucher(), NOW + HOUR, "voucher_expired"),
    (voucher(VoucherState.EXPIRED), NOW, "voucher_expired"),
    (voucher(VoucherState.VOID), NOW, "voucher_void"),
    (voucher(VoucherState.REDEEMED), NOW, "voucher_used"),
    (voucher(VoucherState.REDEEMED), NOW + HOUR, "voucher_used"),
])
def test_each_refusal_has_its_code(seen: Voucher | None, at: object, code: str) -> None:
    """Unknown, early, late, void and used are told apart."""
    with pytest.raises(RuleError) as refused:
        redeemable(seen, at)  # type: ignore[arg-type]
    assert refused.value.code == code
