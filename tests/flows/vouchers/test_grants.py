"""The list of all that programmes gave: each grant once, as the sums have it, without names."""

import csv
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from orchestrator.flows.vouchers import grants
from orchestrator.lifecycle.errors import RuleError
from orchestrator.lifecycle.holder import HolderKind
from orchestrator.store import holders, ledger, programmes
from tests.flows.scheme import FIRM, apply, checked, code, programme, redeem
from tests.flows.town import HOLDER, START, Town
from tests.flows.vouchers.test_programme import OTHER, contracted
from tests.flows.vouchers.test_subsidy import decided

HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
ALONE = replace(HOLDER, kind=HolderKind.INDIVIDUAL)


def listed(town: Town, name: str | None = None, **span: object) -> list[dict[str, str]]:
    written = grants.export(town.ctx, name, span.get("since"), span.get("until"), "test")  # type: ignore[arg-type]
    return list(csv.DictReader(written.splitlines()))


def everything(town: Town) -> str:
    """A trial that is given back, one that is not, cash of a firm, and a subsidy; answers the cash's account."""
    trial, cash = programme("nanjing-trial"), programme("wuxi-cash")
    apply(town, trial, cash, programme("yangzhou-subsidy"))
    redeem(town, trial, "24", holder=ALONE)
    town.advance(HOUR)
    town.work()
    redeem(town, trial, "36", holder=ALONE)
    account = contracted(town)
    town.advance(MINUTE)
    redeem(town, cash, "100.50", account=account)
    town.advance(MINUTE)
    decided(town, "100.00")
    return account


def test_sums_of_the_list_are_what_the_pools_gave(town: Town) -> None:
    """By programme and period; what is given back is in the list, with when, and not in the sum."""
    account = everything(town)
    found = listed(town)
    sums: Counter[tuple[str, str, str]] = Counter()
    for one in found:
        if not one["given_back_at"]:
            sums[one["programme"], one["period"], one["unit"]] += Decimal(one["amount"])  # type: ignore[assignment]
    with town.store.read() as tx:
        pools = {key: -ledger.balance(tx, "pool/" + "/".join(key)) for key in sums}
        entries = {line.entry for line in ledger.posted(tx, "redeem", "subsidy")}
    assert sums == pools
    assert (len(pools), checked(town)) == (3, [])
    assert [(one["programme"], one["amount"], bool(one["given_back_at"])) for one in found] == [
        ("nanjing-trial", "24", True), ("nanjing-trial", "36", False), ("wuxi-cash", "100.5", False),
        ("yangzhou-subsidy", "30", False)]
    assert {one["ledger"] for one in found} == {entry for entry in entries if not entry.endswith("/back")}
    assert [one["account"] == account for one in found] == [False, False, True, False]


def test_a_line_names_voucher_and_code_and_nobody(town: Town) -> None:
    """The credit code, or the sender's id of a holder without one; the voucher's reference; times with one offset."""
    everything(town)
    back, trial, cash, paid = listed(town)
    assert [(one["entity"], one["holder"], one["kind"]) for one in (trial, cash, paid)] == [
        ("", ALONE.id, "individual"), (FIRM.entity, "", "firm"), (FIRM.entity, "", "firm")]
    with town.store.read() as tx:
        assert all(programmes.by_entry(tx)[one["ledger"]][:16] == one["reference"] for one in (trial, cash))
    assert (len(back["reference"]), paid["reference"], trial["sender"]) == (16, "P-1", "platform")
    said = str([back, trial, cash, paid])
    assert FIRM.name not in said
    assert FIRM.email not in said
    assert all(one["redeemed_at"].endswith("+08:00") for one in (back, trial, cash, paid))
    assert town.journalled("programmes") == ["grants.exported"]


def test_a_span_and_a_programme_choose(town: Town) -> None:
    """By when it was redeemed; an unknown programme is refused."""
    everything(town)
    assert [one["programme"] for one in listed(town, until=START + HOUR)] == ["nanjing-trial"]
    assert len(listed(town, since=START + HOUR)) == 3
    assert [one["amount"] for one in listed(town, "wuxi-cash")] == ["100.5"]
    with pytest.raises(RuleError, match="there is no programme 'x'"):
        listed(town, "x")


def test_who_is_forgotten_stands_there_as_a_reference(town: Town) -> None:
    """Which says nothing; and whoever redeems for a firm stands there as the firm."""
    of = programme("wuxi-cash")
    apply(town, of)
    account = contracted(town, OTHER)
    town.redeem(code(town, of, "5.00"), holder=replace(OTHER, id="f-9"), account=account)
    assert [one["entity"] for one in listed(town)] == [OTHER.entity]
    with town.store.write() as tx:
        holders.erase(tx, town.sender.id, OTHER.id, START)
        ref = holders.entity_ref(tx, OTHER.entity or "")
    assert [(one["entity"], one["kind"]) for one in listed(town)] == [(ref, "")]
