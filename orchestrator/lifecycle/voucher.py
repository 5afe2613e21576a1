"""Vouchers (算力券): issued → redeemed | expired | void. Each refusal is its own."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from orchestrator.lifecycle.errors import RuleError


class VoucherState(StrEnum):
    ISSUED = "issued"
    REDEEMED = "redeemed"
    EXPIRED = "expired"
    VOID = "void"


@dataclass(frozen=True, slots=True)
class Voucher:
    """What is known of a code; the code itself is kept only as a keyed hash."""

    digest: str
    offer: str
    state: VoucherState
    valid_from: datetime
    valid_until: datetime


def redeemable(voucher: Voucher | None, now: datetime) -> Voucher:
    """The voucher when it may be redeemed now; otherwise RuleError with the reason as its code."""
    if voucher is None:
        raise RuleError("voucher_unknown", "this voucher code is not known")
    if voucher.state is VoucherState.VOID:
        raise RuleError("voucher_void", "this voucher was voided")
    if voucher.state is VoucherState.REDEEMED:
        raise RuleError("voucher_used", "this voucher was already redeemed")
    if voucher.state is VoucherState.EXPIRED or now >= voucher.valid_until:
        raise RuleError("voucher_expired", f"this voucher expired at {voucher.valid_until.isoformat()}")
    if now < voucher.valid_from:
        raise RuleError("voucher_not_yet_valid", f"this voucher is valid from {voucher.valid_from.isoformat()}")
    return voucher
