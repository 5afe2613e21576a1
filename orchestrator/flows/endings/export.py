"""An operator's copy of the files of an account that is fenced. Who took it and why stands in the journal first."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from orchestrator.flows.context import Context
from orchestrator.flows.effects import commit
from orchestrator.flows.named import account_named
from orchestrator.lifecycle.account import USABLE, Account, State
from orchestrator.lifecycle.errors import RuleError
from orchestrator.store import journal
from orchestrator.store.engine import Tx


@dataclass(frozen=True, slots=True)
class Exported:
    """How many bytes of tar it was, and their SHA-256 in hex."""

    size: int
    digest: str


def export(ctx: Context, account_id: str, include: Sequence[str], put: Callable[[bytes], object], *, actor: str,
           why: str = "") -> Exported:
    """Give a tar of the account's files to `put`, piece by piece; its state and its end stay as they are, and a reclaim
    that comes meanwhile goes first: a hold keeps it off.

    RuleError: not_found, not_fenced, gone. SiteError: Refused says what the site cannot do, and what there is instead.
    """
    account = commit("export.begin", ctx.store, lambda tx: _begin(tx, account_id, include, actor, why))
    digest, size = hashlib.sha256(), 0

    def take(piece: bytes) -> None:
        nonlocal size
        digest.update(piece)
        put(piece)
        size += len(piece)

    ctx.sites.get(account.site).export(account.id, include, take)
    made = Exported(size, digest.hexdigest())
    commit("export.done", ctx.store, lambda tx: journal.write(tx, "account.exported", account_id, actor, why,
                                                              bytes=made.size, sha256=made.digest))
    return made


def _begin(tx: Tx, account_id: str, include: Sequence[str], actor: str, why: str) -> Account:
    account = account_named(tx, account_id)
    if account.state in USABLE:
        raise RuleError("not_fenced", f"account {account_id} is in use: fence it first, or let its holder fetch them")
    if account.state is not State.FENCED:
        raise RuleError("gone", f"account {account_id} is {account.state}: there is nothing of it to export")
    journal.write(tx, "account.export_begun", account_id, actor, why, include=list(include))
    return account
