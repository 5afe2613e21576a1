"""When a step did not work: who acts next, how long to pause, and the STUCK mark that says so. Retried for ever."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, ParamSpec, TypeVar

from orchestrator.flows.context import Context
from orchestrator.flows.effects import commit
from orchestrator.store import accounts
from orchestrator.store.accounts import Claimed, Stuck
from orchestrator.store.engine import Tx
from orchestrator.store.errors import Conflict, StoreError
from providers.protocol import NeedsHuman, Refused, SiteError, Stale, TryLater
from stacks.errors import CliMissing, StackBroken, StackError

P = ParamSpec("P")
T = TypeVar("T")

log = logging.getLogger(__name__)

FIRST_PAUSE = timedelta(seconds=1)
LONGEST_PAUSE = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Trouble:
    """One failure, told once: the sentence, who acts next, and what an operator can do."""

    what: str
    error: str
    next: Literal["tenure", "operator"]
    remedy: str = ""
    after: timedelta = timedelta()


def trouble(what: str, error: Exception) -> Trouble:
    """What this error means for whoever acts next. A fault of our own goes to the operator, with its type."""
    match error:
        case TryLater():
            return Trouble(what, str(error), "tenure", after=error.after)
        case NeedsHuman() | StackBroken():
            return Trouble(what, str(error), "operator", error.remedy)
        case CliMissing():
            return Trouble(what, str(error), "operator", "python -m stacks.install")
        case Refused():
            return Trouble(what, str(error), "operator", "look at the account at its site; Tenure goes on trying")
        case Stale() | SiteError() | StackError() | StoreError():
            return Trouble(what, str(error), "tenure")
        case _:
            return Trouble(what, f"{type(error).__name__}: {error}", "operator",
                           "this is a fault in Tenure: its log has the traceback")


def tried(what: str, act: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T | Trouble:
    """Do `act`, or say what is wrong: whatever one account's step raises must not reach the others of its batch."""
    try:
        return act(*args, **kwargs)
    except (SiteError, StackError, StoreError) as error:
        log.info("%s did not work: %s", what, error)
        return trouble(what, error)
    except Exception as error:  # noqa: BLE001 - see above; it becomes a mark for the operator and a traceback in the log
        log.exception("%s failed", what)
        return trouble(what, error)


def pause(count: int, longest: timedelta = LONGEST_PAUSE) -> timedelta:
    """1 s, 2 s, 4 s, … up to the longest; `count` is how often it has failed, from 1."""
    return min(FIRST_PAUSE * (1 << min(count - 1, 20)), longest)


def mark(tx: Tx, claimed: Claimed, found: Trouble, now: datetime, longest: timedelta = LONGEST_PAUSE) -> Stuck:
    """Give the claim back with a mark and a pause. Conflict when somebody else has the account by now."""
    before = claimed.stuck if claimed.stuck is not None and claimed.stuck.what == found.what else None
    stuck = Stuck(what=found.what, error=found.error, since=before.since if before else now,
                  count=before.count + 1 if before else 1, next=found.next, remedy=found.remedy)
    accounts.release(tx, claimed, retry_at=now + max(pause(stuck.count, longest), found.after), stuck=stuck)
    return stuck


def later(ctx: Context, name: str, claimed: Claimed, found: Trouble, longest: timedelta = LONGEST_PAUSE) -> Trouble:
    """`mark` in a transaction of its own; when somebody else has the account by now, it is theirs to go on with."""
    now = ctx.clock()
    try:
        stuck = commit(name, ctx.store, lambda tx: mark(tx, claimed, found, now, longest))
    except Conflict as lost:
        log.info("%s", lost)
        return found
    log.warning("account %s: %s did not work (%s so far, next: %s): %s", claimed.account.id, found.what, stuck.count,
                found.next, found.error)
    return found
