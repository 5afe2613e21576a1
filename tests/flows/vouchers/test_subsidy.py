"""Subsidies: 30 % of what was actually paid, at most 2,000,000.00 for an entity in a year, never twice."""

import csv
import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from orchestrator.flows.vouchers import subsidy
from orchestrator.flows.vouchers.subsidy import Payment
from orchestrator.lifecycle.errors import RuleError
from orchestrator.lifecycle.holder import Holder, HolderKind
from orchestrator.store.subsidies import Subsidy
from tests.flows.scheme import FIRM, apply, checked, programme
from tests.flows.town import START, Town

OTHER = replace(FIRM, id="f-2", entity="12320000466006033M")


def decided(town: Town, paid: str, reference: str = "P-1", holder: Holder = FIRM, **other: object) -> Subsidy:
    sealed = hashlib.sha256(reference.encode()).hexdigest()
    payment = Payment(reference, Decimal(paid), START - timedelta(days=1), "C-1", "00" * 32, sealed,
                      ("unrelated-parties", "not-subsidised-elsewhere"))
    return subsidy.decide(town.ctx, "yangzhou-subsidy", holder, replace(payment, **other), "test")  # type: ignore[arg-type]


def refused(town: Town, *args: str, **other: object) -> RuleError:
    with pytest.raises(RuleError) as caught:
        decided(town, *args, **other)  # type: ignore[arg-type]
    assert checked(town) == []
    return caught.value


@pytest.fixture
def yangzhou(town: Town) -> Town:
    apply(town, programme("yangzhou-subsidy"))
    return town


@pytest.mark.parametrize(("paid", "amount", "capped"), [
    ("6666666.66", "2000000.00", False), ("6666666.67", "2000000.00", True), ("10000000.00", "2000000.00", True),
    ("0.05", "0.02", False)])
def test_the_edge_of_the_cap_to_the_fen(yangzhou: Town, paid: str, amount: str, capped: bool) -> None:
    """6,666,666.66 is all within it, 6,666,666.67 a trifle beyond."""
    made = decided(yangzhou, paid)
    assert (made.amount, made.evidence["capped"]) == (Decimal(amount), capped)


def test_the_cap_counts_all_payments_of_the_year(yangzhou: Town) -> None:
    """1,999,999.99, then the last fen of a larger share, then a refusal with the figure; others are untouched."""
    assert decided(yangzhou, "6666666.64", "P-1").amount == Decimal("1999999.99")
    assert decided(yangzhou, "1000.00", "P-2").amount == Decimal("0.01")
    error = refused(yangzhou, "1000.00", "P-3")
    assert (error.code, "2,000,000.00 yuan for one entity in 2027" in str(error)) == ("cap_reached", True)
    assert decided(yangzhou, "1000.00", "P-4", OTHER).amount == Decimal("300.00")


def test_a_payment_of_the_year_before_counts_there(yangzhou: Town) -> None:
    """The year is the payment's, by civil time."""
    decided(yangzhou, "9000000.00", "P-1")
    before = START.replace(year=2026, month=12, day=31, hour=15, minute=59, second=59)
    assert decided(yangzhou, "100.00", "P-2", paid_at=before).amount == Decimal("30.00")
    assert refused(yangzhou, "100.00", "P-3", paid_at=before + timedelta(seconds=1)).code == "cap_reached"


def test_the_same_payment_again_is_the_same_answer(yangzhou: Town) -> None:
    """And pays nothing more; with another figure it is refused."""
    assert decided(yangzhou, "100.00") == decided(yangzhou, "100.00")
    assert refused(yangzhou, "200.00").code == "payment_differs"
    assert refused(yangzhou, "100.00", holder=OTHER).code == "payment_differs"


@pytest.mark.parametrize("other", [
    {"contract": "C-2"}, {"contract_sha256": "11" * 32}, {"receipt_sha256": "22" * 32},
    {"paid_at": START.replace(year=2026)}])
def test_a_payment_with_other_evidence_is_another(yangzhou: Town, other: dict[str, Any]) -> None:
    """Of another contract, or of another year: the old decision does not answer it, and the refusal names what."""
    decided(yangzhou, "100.00")
    error = refused(yangzhou, "100.00", **other)
    assert (error.code, f"with another {next(iter(other))}" in str(error)) == ("payment_differs", True)


def test_nothing_paid_is_no_payment(yangzhou: Town) -> None:
    """And uses up neither the reference nor the receipt."""
    assert refused(yangzhou, "0.00").code == "nothing_paid"
    assert decided(yangzhou, "0.02").amount == Decimal("0.01")


def test_what_rounds_to_nothing_is_refused_and_leaves_its_receipt(yangzhou: Town) -> None:
    """30 % of a fen is no fen; the same receipt is good for what was paid in truth."""
    error = refused(yangzhou, "0.01", "P-1", receipt_sha256="ab" * 32)
    assert (error.code, "less than half a fen" in str(error)) == ("nothing_due", True)
    assert decided(yangzhou, "100.00", "P-1", receipt_sha256="ab" * 32).amount == Decimal("30.00")
    assert yangzhou.journalled("P-1") == ["subsidy.decided"]


def test_a_receipt_serves_one_payment(yangzhou: Town) -> None:
    """The same paper under another number is refused."""
    decided(yangzhou, "100.00", "P-1", receipt_sha256="ab" * 32)
    assert refused(yangzhou, "100.00", "P-2", receipt_sha256="ab" * 32).code == "receipt_used"


@pytest.mark.parametrize(("other", "code"), [
    ({"attested": ("unrelated-parties",)}, "attestation_missing"), ({"attested": ()}, "attestation_missing"),
    ({"paid_at": START + timedelta(seconds=1)}, "not_paid_yet"), ({"holder": replace(FIRM, entity=None)},
                                                                  "entity_missing"),
    ({"holder": replace(FIRM, kind=HolderKind.INDIVIDUAL)}, "holder_kind")])
def test_what_is_not_shown_is_not_paid(yangzhou: Town, other: dict[str, object], code: str) -> None:
    """Paid, attested, by an entity of the right kind."""
    assert refused(yangzhou, "100.00", **other).code == code


def test_many_payments_at_once_stay_within_the_cap(yangzhou: Town) -> None:
    """200 payments whose shares are 3,000,000 in all: 2,000,000.00 and no fen more."""

    def one(nth: int) -> Decimal:
        try:
            return decided(yangzhou, "50000.00", f"P-{nth}").amount
        except RuleError as refusal:
            return Decimal(0) if refusal.code == "cap_reached" else Decimal("NaN")

    with ThreadPoolExecutor(16) as pool:
        assert sum(pool.map(one, range(200))) == Decimal("2000000.00")
    assert checked(yangzhou) == []


def test_the_export_has_each_payment_with_its_evidence(yangzhou: Town) -> None:
    """A line each, and no cell is a formula."""
    decided(yangzhou, "100.00", "P-1", contract="=1+1")
    rows = list(csv.DictReader(subsidy.export(yangzhou.ctx, None).splitlines()))
    assert [(row["payment"], row["paid"], row["subsidy"], row["contract"], row["entity"]) for row in rows] == [
        ("P-1", "100.00", "30.00", "'=1+1", FIRM.entity)]
    assert (rows[0]["kind"], rows[0]["paid_at"][-6:], rows[0]["decided_at"][-6:]) == ("firm", "+08:00", "+08:00")
    assert rows[0]["receipt_sha256"] == hashlib.sha256(b"P-1").hexdigest()
