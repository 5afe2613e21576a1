"""Schemes for tests: the example programmes on a town, vouchers of them, holders who fit."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

from orchestrator.flows.documents.reading import Documents, read
from orchestrator.flows.vouchers import entitlement
from orchestrator.flows.vouchers.redeem import Accepted
from orchestrator.lifecycle.errors import RuleError
from orchestrator.lifecycle.holder import Holder, HolderKind
from orchestrator.lifecycle.programme import Programme
from orchestrator.store import ledger, programmes, sites, vouchers
from tests.flows.town import OFFER, START, Town

EXAMPLES = Path(__file__).parents[2] / "examples" / "programmes"
ENTITY = "91350100M000100Y43"
FIRM = Holder("f-1", "某某科技有限公司", HolderKind.FIRM, "lab@example.com", ENTITY)


def example(file: str) -> Documents:
    """An example file, as `tenure apply` reads it."""
    return read((EXAMPLES / file).read_text("utf-8"), file, ["memory"], START)


def programme(name: str, **other: object) -> Programme:
    """An example programme on the town's own offer, changed as a test needs."""
    found = next(one for file in sorted(EXAMPLES.glob("*.yaml")) for one in example(file.name).programmes
                 if one.name == name)
    return replace(found, **({"offer": OFFER.name} if found.offer else {}) | other)  # type: ignore[arg-type]


def apply(town: Town, *these: Programme) -> None:
    with town.store.write() as tx:
        for one in these:
            programmes.put(tx, one)
        sites.put_offer(tx, town.offer)


def code(town: Town, of: Programme, worth: str, bound: str | None = None) -> str:
    """One voucher of the programme."""
    fresh = vouchers.new_code()
    with town.store.write() as tx:
        entitlement.issue(tx, town.sender.id, of, [fresh], Decimal(worth), town.clock.at, town.clock.at + of.valid_for,
                          bound)
    return fresh


def redeem(town: Town, of: Programme, worth: str, holder: Holder = FIRM, **more: object) -> Accepted:
    """A fresh voucher of this worth, redeemed."""
    return town.redeem(code(town, of, worth), holder=holder, **more)  # type: ignore[arg-type]


def at_once(town: Town, of: Programme, worth: str, count: int, **more: object) -> Counter[str]:
    """So many fresh vouchers, redeemed by one holder from many threads: how many were "given", the others by code."""
    codes = [code(town, of, worth) for _ in range(count)]

    def one(voucher: str) -> str:
        try:
            town.redeem(voucher, holder=FIRM, **more)  # type: ignore[arg-type]
        except RuleError as refusal:
            return refusal.code
        return "given"

    with ThreadPoolExecutor(24) as pool:
        return Counter(pool.map(one, codes))


def balance(town: Town, account: str) -> Decimal:
    with town.store.read() as tx:
        return ledger.balance(tx, account)


def checked(town: Town) -> list[str]:
    """What a replay of all sums finds wrong."""
    with town.store.read() as tx:
        return ledger.check(tx)
