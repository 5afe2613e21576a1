"""What is owed to an account, and when: the only place that derives work from state and time."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from orchestrator.lifecycle.account import USABLE, Account, FencedBy, State


class Owed(StrEnum):
    """A piece of work. WARN and FENCE are direct and batched; the others are durable flows."""

    PROVISION = "provision"
    WARN = "warn"
    FENCE = "fence"
    CONVERT = "convert"
    RECLAIM = "reclaim"


@dataclass(frozen=True, slots=True)
class Due:
    """The next thing owed to an account, not before `at`."""

    what: Owed
    at: datetime


def next_due(account: Account, paused: Due | None = None) -> Due | None:
    """The earliest thing owed, or None (reclaimed; or held, with nothing but a reclaim to come).

    `paused` is the work that failed last and when it may be tried again. It delays nothing else, and a warning or a
    conversion that cannot be done before the end does not stand in the fence's way, nor comes back once a fence
    was tried.
    """
    due = _paused(_due(account), paused)
    if due is None or account.state not in USABLE or account.ends_at is None:
        return due
    tried = paused is not None and paused.what is Owed.FENCE
    if due.what in (Owed.WARN, Owed.CONVERT) and (tried or due.at >= account.ends_at):
        return _paused(Due(Owed.FENCE, account.ends_at), paused)
    return due


def due_now(account: Account, now: datetime, paused: Due | None = None) -> Due | None:
    """What is owed when nothing can be done before `now`: past the end, the fence before all else."""
    due = next_due(account, paused)
    if due is None or due.what not in (Owed.WARN, Owed.CONVERT):
        return due
    return next_due(account, Due(due.what, max(now, due.at)))


def _paused(due: Due | None, paused: Due | None) -> Due | None:
    if due is None or paused is None or paused.what is not due.what:
        return due
    return Due(due.what, max(due.at, paused.at))


def _due(account: Account) -> Due | None:
    match account.state:
        case State.REQUESTED:
            return Due(Owed.PROVISION, account.prepare_at or account.since)
        case State.PROVISIONING:
            begins = account.begins_at if account.prepared_at is not None else None
            return Due(Owed.PROVISION, begins or account.since)
        case State.FAILED | State.RECLAIMING:
            return None if account.hold else Due(Owed.RECLAIM, account.since)
        case State.RECLAIMED:
            return None
        case State.FENCED:
            return _due_fenced(account)
        case _:
            return _due_usable(account)


def _due_usable(account: Account) -> Due:
    assert account.ends_at is not None
    if account.reclaim_asked:
        return Due(Owed.FENCE, account.since)
    if account.convert_asked:
        return Due(Owed.CONVERT, account.since)
    warnings = account.warnings()
    if account.warned < len(warnings) and warnings[account.warned] < account.ends_at:
        return Due(Owed.WARN, warnings[account.warned])
    return Due(Owed.FENCE, account.ends_at)


def _due_fenced(account: Account) -> Due | None:
    assert account.ends_at is not None
    if account.convert_asked:
        return Due(Owed.CONVERT, account.since)
    if account.reclaim_asked:
        return None if account.hold else Due(Owed.RECLAIM, account.since)
    if account.fenced_by is FencedBy.OPERATOR:
        return Due(Owed.FENCE, account.ends_at)
    grace_until = account.grace_until
    assert grace_until is not None
    return None if account.hold else Due(Owed.RECLAIM, grace_until)
