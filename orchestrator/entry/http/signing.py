"""A contract that came through a door, by webhook or from an operator, on its way to the flow."""

from orchestrator.entry.http.desk import Desk
from orchestrator.entry.http.payloads import ContractTerms
from orchestrator.entry.http.problems import Problem
from orchestrator.flows.accounts.convert import Ask, ask
from orchestrator.lifecycle.contract import OPEN_END
from orchestrator.store import contracts
from orchestrator.store.errors import Conflict

TRIES = 3
"""A worker may save the account between our reading and our writing; whoever asked need not know."""


def sign(desk: Desk, account: str, terms: ContractTerms, actor: str, why: str = "",
         sender: str | None = None) -> None:
    """Ask for the conversion. RuleError as the flow says; Problem 409 for the same contract with other terms."""
    ends_at = None if terms.ends_at == OPEN_END else terms.ends_at
    asked = Ask(terms.contract, account, terms.offer, ends_at, terms.document)
    for left in reversed(range(TRIES)):
        try:
            ask(desk.ctx, asked, actor=actor, sender=sender, why=why)
            return
        except Conflict:
            if _differs(desk, account, terms):
                raise Problem(409, "contract_differs", f"contract {terms.contract!r} of account {account} is on record"
                                                       " with other terms") from None
            if not left:
                raise


def _differs(desk: Desk, account: str, terms: ContractTerms) -> bool:
    with desk.ctx.store.read() as tx:
        known = contracts.get(tx, account, terms.contract)
    return known is not None and (known.offer, known.ends_at, known.document) != (
        terms.offer, terms.ends_at, terms.document)
