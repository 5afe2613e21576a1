"""The account that somebody names, or the one refusal there is for an id that nobody has."""

from orchestrator.lifecycle.account import Account
from orchestrator.lifecycle.errors import RuleError
from orchestrator.store import accounts
from orchestrator.store.engine import Tx


def account_named(tx: Tx, account_id: str, *, lock: bool = False) -> Account:
    """The account; with `lock` nobody else changes it until this transaction ends. RuleError `not_found`."""
    account = accounts.get(tx, account_id, lock=lock)
    if account is None:
        raise RuleError("not_found", f"there is no account {account_id!r}")
    return account
