"""How things stand, in numbers: what metrics and readiness are told."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, select

from orchestrator.lifecycle.account import USABLE
from orchestrator.store import tables
from orchestrator.store.engine import Tx

_accounts = tables.accounts
_outbox = tables.outbox


@dataclass(frozen=True, slots=True)
class Gauges:
    """Lags are how long the oldest has been waiting; zero when nothing waits."""

    by_state: dict[str, int]
    stuck: int
    due_lag: dict[str, timedelta]
    unfenced: int
    """Accounts past their end, by our clock, that are not recorded as fenced."""
    fence_lag: timedelta
    outbox: int
    outbox_lag: timedelta


def gauges(tx: Tx, now: datetime) -> Gauges:
    """All of them, in a handful of indexed queries."""
    states = tx.execute(select(_accounts.c.state, func.count()).group_by(_accounts.c.state)).all()
    stuck = tx.execute(select(func.count()).where(_accounts.c.stuck.is_not(None))).scalar_one()
    usable = sorted(state.value for state in USABLE)
    unfenced, end = tx.execute(select(func.count(), func.min(_accounts.c.ends_at)).where(
        _accounts.c.state.in_(usable), _accounts.c.ends_at < now)).one()
    waiting, since = tx.execute(select(func.count(), func.min(_outbox.c.at)).where(
        _outbox.c.sent_at.is_(None), _outbox.c.due_at.is_not(None), _outbox.c.at <= now)).one()
    return Gauges(by_state={row[0]: row[1] for row in states}, stuck=stuck, due_lag=due_lags(tx, now),
                  unfenced=unfenced, fence_lag=_since(end, now), outbox=waiting, outbox_lag=_since(since, now))


def due_lags(tx: Tx, now: datetime) -> dict[str, timedelta]:
    """For each kind of work that is owed: how long the oldest has waited for anybody to take it up."""
    oldest = tx.execute(select(_accounts.c.owed, func.min(_accounts.c.due_at))
                        .where(_accounts.c.owed.is_not(None)).group_by(_accounts.c.owed)).all()
    return {owed: _since(at, now) for owed, at in oldest}


def _since(at: datetime | None, now: datetime) -> timedelta:
    return timedelta() if at is None else max(timedelta(), now - at)
