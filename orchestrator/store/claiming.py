"""Who works on an account: claims with a lease and a growing generation, and the one query that finds what is due."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, Select, bindparam, func, select, update

from orchestrator.lifecycle.account import USABLE, State
from orchestrator.lifecycle.due import Due, Owed, due_now
from orchestrator.store import tables
from orchestrator.store.engine import Tx
from orchestrator.store.errors import Busy, Conflict, NotFound
from orchestrator.store.rows import Claimed, Stuck, account_of, claimed_of, due_columns, paused_of, stuck_to_json

_table = tables.accounts
LOCKED = select(_table).where(_table.c.id == bindparam("of")).with_for_update()
"""One account's row, locked where the database locks rows."""


def due_query(now: datetime, owed: frozenset[Owed], limit: int, per_site: int | None) -> Select[tuple[str]]:
    """The sweep's one question: ids due, earliest first, at most `per_site` of each site. Answered by one index."""
    due = (_table.c.owed.in_(sorted(what.value for what in owed)), _table.c.due_at <= now)
    if per_site is None:
        return select(_table.c.id).where(*due).order_by(_table.c.due_at, _table.c.id).limit(limit)
    # Materialized: SQLite would otherwise read all accounts in the order that the window likes.
    found = select(_table.c.id, _table.c.due_at, _table.c.site).where(*due).cte("found").prefix_with("MATERIALIZED")
    nth = func.row_number().over(partition_by=found.c.site, order_by=(found.c.due_at, found.c.id)).label("nth")
    ranked = select(found.c.id, found.c.due_at, nth).subquery()
    return (select(ranked.c.id).where(ranked.c.nth <= per_site)
            .order_by(ranked.c.nth, ranked.c.due_at, ranked.c.id).limit(limit))


def claim_due(tx: Tx, now: datetime, worker: str, owed: frozenset[Owed], limit: int, lease: timedelta,
              per_site: int | None = None) -> list[Claimed]:
    """Take up to `limit` accounts for which one of `owed` is due and that nobody holds (any more).

    Each is this worker's until now + lease, with a generation of its own. Two workers never get the same one.
    """
    if Owed.FENCE in owed:
        _turn_late(tx, now)
    ids = tx.execute(due_query(now, owed, limit, per_site)).scalars().all()
    if not ids:
        return []
    rows = tx.execute(
        select(_table).where(_table.c.id.in_(ids), _table.c.due_at <= now,
                             _table.c.owed.in_([what.value for what in owed]))
        .with_for_update(skip_locked=True)).all()
    by_id = {row.id: row for row in rows}
    claimed = []
    for row in (by_id[id] for id in ids if id in by_id):
        due = due_now(account_of(row), now, paused_of(row))
        if due is None or due.what not in owed:
            # Past the end the fence comes before a warning or a conversion: the row goes to the other lane.
            tx.execute(update(_table).where(_table.c.id == row.id).values(
                owed=due.what.value if due else None, due_at=due.at if due else None))
            continue
        claimed.append((row, due.what))
    return _take_all(tx, claimed, worker, now + lease)


def _turn_late(tx: Tx, now: datetime) -> None:
    """Past the end the fence is owed, though nobody may be free to see that a warning or conversion is too late."""
    tx.execute(update(_table).where(
        _table.c.owed.in_([Owed.WARN.value, Owed.CONVERT.value]), _table.c.due_at <= now, _table.c.ends_at <= now,
        _table.c.state.in_(sorted(state.value for state in USABLE)),
    ).values(owed=Owed.FENCE.value, due_at=_table.c.ends_at))


def _take_all(tx: Tx, rows: list[tuple[Row[Any], Owed]], worker: str, until: datetime) -> list[Claimed]:
    if not rows:
        return []
    tx.connection().execute(
        update(_table).where(_table.c.id == bindparam("row_id")).values(
            generation=_table.c.generation + 1, worker=worker, claimed_until=until, due_at=until,
            owed=bindparam("row_owed")),
        [{"row_id": row.id, "row_owed": owed.value} for row, owed in rows])
    return [_with_claim(claimed_of(row, owed), worker) for row, owed in rows]


def _with_claim(before: Claimed, worker: str) -> Claimed:
    return replace(before, worker=worker, account=replace(before.account, generation=before.generation + 1))


def claim_one(tx: Tx, id: str, now: datetime, worker: str, lease: timedelta) -> Claimed:
    """Take this account for a direct call. NotFound; Busy while a worker holds it; Conflict when it is reclaimed."""
    row = tx.execute(LOCKED, {"of": id}).first()
    if row is None:
        raise NotFound(f"there is no account {id!r}")
    if row.claimed_until is not None and row.claimed_until > now:
        raise Busy(f"account {id}: {row.worker} is working on it until {row.claimed_until.isoformat()}")
    account = account_of(row)
    due = due_now(replace(account, hold=False), now, paused_of(row))
    if due is None:
        raise Conflict(f"account {id}: it is {State.RECLAIMED}, there is nothing left to act on")
    held = due_now(account, now) is None
    claimed = _take_all(tx, [(row, due.what)], worker, now + lease)[0]
    if held:
        tx.execute(update(_table).where(_table.c.id == id).values(owed=None, due_at=None))
    return claimed


def renew(tx: Tx, claimed: Claimed, now: datetime, lease: timedelta) -> None:
    """Hold on for now + lease. Conflict when another worker has taken it since."""
    row = _mine(tx, claimed)
    until = now + lease
    tx.execute(update(_table).where(_table.c.id == claimed.account.id).values(
        {"claimed_until": until} | due_columns(account_of(row), paused_of(row), until)))


def release(tx: Tx, claimed: Claimed, *, retry_at: datetime | None = None, stuck: Stuck | None = None) -> None:
    """Give the account back with its work undone, not to be tried before `retry_at`. Conflict when it was lost.

    The pause holds for the work that was claimed and delays no other. A STUCK mark stays until a save releases.
    """
    row = _mine(tx, claimed)
    paused = Due(claimed.owed, retry_at) if retry_at is not None else None
    values: dict[str, Any] = {"claimed_until": None, "worker": None, "attempts": row.attempts + 1,
                              "retry_of": claimed.owed.value if paused else None, "retry_at": retry_at}
    if stuck is not None:
        values["stuck"] = stuck_to_json(stuck)
    tx.execute(update(_table).where(_table.c.id == claimed.account.id).values(
        values | due_columns(account_of(row), paused, None)))


def _mine(tx: Tx, claimed: Claimed) -> Row[Any]:
    row = tx.execute(LOCKED, {"of": claimed.account.id}).first()
    if row is None:
        raise NotFound(f"there is no account {claimed.account.id!r}")
    if row.generation != claimed.generation or row.worker != claimed.worker:
        raise Conflict(f"account {claimed.account.id}: the claim of {claimed.worker} (generation"
                       f" {claimed.generation}) is over, {row.worker or 'nobody'} has generation {row.generation}")
    return row


def next_wake(tx: Tx, owed: frozenset[Owed]) -> datetime | None:
    """When the next of these is due, claims and pauses counted; None when nothing is."""
    earliest = [select(func.min(_table.c.due_at)).where(_table.c.owed == what.value).scalar_subquery()
                for what in sorted(owed)]
    found = [at for at in tx.execute(select(*earliest)).one() if at is not None]
    return min(found, default=None)
