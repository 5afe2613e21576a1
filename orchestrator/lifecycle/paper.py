"""A contract's paper: wished for, drafted, signed. Once signed, the conversion tells how it goes on."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

from orchestrator.lifecycle import money, price
from orchestrator.lifecycle.account import State
from orchestrator.lifecycle.contract import OPEN_END, ContractState
from orchestrator.lifecycle.errors import IllegalMove


class PaperState(StrEnum):
    WISHED = "wished"
    """The holder asked for a contract; nothing is offered yet."""
    DRAFT = "draft"
    SIGNED = "signed"
    WITHDRAWN = "withdrawn"


MOVES: dict[PaperState, frozenset[PaperState]] = {
    PaperState.WISHED: frozenset({PaperState.DRAFT, PaperState.WITHDRAWN}),
    PaperState.DRAFT: frozenset({PaperState.SIGNED, PaperState.WITHDRAWN}),
    PaperState.SIGNED: frozenset(),
    PaperState.WITHDRAWN: frozenset(),
}


@dataclass(frozen=True, slots=True)
class Paper:
    """`digest` is the SHA-256 of the document, in hex: of ours, or of what an operator recorded as signed."""

    id: str
    account: str
    offer: str
    ends_at: datetime
    state: PaperState
    made_at: datetime
    terms: dict[str, Any] = field(default_factory=dict)
    digest: str | None = None
    signed_at: datetime | None = None
    signed_by: str | None = None

    def move(self, to: PaperState) -> "Paper":
        """The paper in its next state. Raises IllegalMove for a step that is not in MOVES."""
        if to not in MOVES[self.state]:
            raise IllegalMove(f"contract {self.id}: {self.state} -> {to}")
        return replace(self, state=to)

    @property
    def open(self) -> bool:
        """Whether it has no end of its own: then its terms say what an hour costs."""
        return self.ends_at >= OPEN_END

    @property
    def price(self) -> Decimal:
        """What the contract costs, before any cash voucher; an hour of it when it is open, as it is told everywhere:
        with six places at most."""
        return money.short(Decimal(self.terms["hourly" if self.open else "price"]))


def stage(paper: Paper, conversion: ContractState | None, account: State) -> str:
    """Where the contract is, in words for people: draft → signed → active → ended, or refused or withdrawn."""
    if paper.state is not PaperState.SIGNED:
        return paper.state.value
    match conversion:
        case ContractState.ACTIVE:
            return "active" if account is State.CONTRACTED else "ended"
        case ContractState.ENDED | ContractState.REFUSED:
            return conversion.value
        case _:
            return paper.state.value


def terms_of(prices: str, quote: price.Quote, begins_at: datetime) -> dict[str, Any]:
    """The price and how it came about, as the paper keeps it whatever becomes of the price list."""
    return {
        "prices": prices, "begins_at": begins_at.isoformat(), "hours": str(quote.hours), "base": str(quote.base),
        "class": quote.customer_class, "class_discount": str(quote.class_discount),
        "long_discount": str(quote.long_discount), "price": str(quote.price), "floored": quote.floored,
        "lines": _lines(quote.lines)}


def open_terms(prices: str, hourly: price.Hourly, begins_at: datetime) -> dict[str, Any]:
    """The same of an open contract: what an hour costs."""
    return {
        "prices": prices, "begins_at": begins_at.isoformat(), "hourly_base": str(hourly.base),
        "class": hourly.customer_class, "class_discount": str(hourly.class_discount), "long_discount": "0",
        "hourly": str(hourly.price), "floored": hourly.floored, "lines": _lines(hourly.lines)}


def _lines(lines: Sequence[price.PriceLine]) -> list[dict[str, Any]]:
    return [{"resource": line.resource, "units": str(line.units), "per_hour": str(line.per_hour),
             "amount": str(line.amount)} | ({"metered": True} if line.metered else {}) for line in lines]
