"""How things stand, for the operators' screen: counts, ends ahead, fences.

Every list is bounded, and every query is answered by an index: among 100,000 accounts it is still cheap.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from itertools import pairwise
from typing import Any

from sqlalchemy import Select, bindparam, func, literal, select, union_all
from sqlalchemy.sql import CompoundSelect, Executable

from orchestrator.lifecycle.account import LIVE, USABLE, FencedBy, State
from orchestrator.lifecycle.due import Owed
from orchestrator.store import tables
from orchestrator.store.engine import Tx
from orchestrator.store.rows import Stuck, stuck_of

_accounts, _outbox = tables.accounts, tables.outbox
_LIVE = sorted(state.value for state in LIVE)
_USABLE = sorted(state.value for state in USABLE)
_ENDING = [*_USABLE, State.FENCED.value]
"""An account that an operator has fenced has its end still to come."""


@dataclass(frozen=True, slots=True)
class Standing:
    """An account as the screen names it: no personal data."""

    id: str
    site: str
    state: State
    ends_at: datetime | None
    stuck: Stuck | None


@dataclass(frozen=True, slots=True)
class Waiting:
    """Work of one kind that nobody has taken up: how much, and since when the oldest has waited."""

    count: int
    since: datetime | None


@dataclass(frozen=True, slots=True)
class Unsent:
    """Callbacks to one sender, or mail to its holders, that should be delivered by now."""

    sender: str
    channel: str
    count: int
    since: datetime
    attempts: int


@dataclass(frozen=True, slots=True)
class FenceAt:
    """An end and when its fence stood, by the site."""

    id: str
    site: str
    ends_at: datetime
    fenced_at: datetime


def live(tx: Tx, sites: Sequence[str]) -> dict[tuple[str, State], int]:
    """How many accounts these sites have in each state; reclaimed ones, who stay for ever, are not read."""
    rows = tx.execute(select(_accounts.c.site, _accounts.c.state, func.count())
                      .where(_accounts.c.site.in_(sites), _accounts.c.state.in_(_LIVE))
                      .group_by(_accounts.c.site, _accounts.c.state))
    return {(site, State(state)): count for site, state, count in rows}


def ends(tx: Tx, edges: Sequence[datetime]) -> list[tuple[int, str, State, int]]:
    """How many accounts end between one edge and the next: (which, site, state, count)."""
    rows = tx.execute(_ends(len(edges)), {f"e{nth}": edge for nth, edge in enumerate(edges)})
    return [(nth, site, State(state), count) for nth, site, state, count in rows]


@cache
def _ends(edges: int) -> CompoundSelect[Any]:
    """One short range of one index for each piece of time."""
    return union_all(*(
        select(literal(nth), _accounts.c.site, _accounts.c.state, func.count())
        .where(_accounts.c.state.in_(_ENDING), _accounts.c.ends_at >= bindparam(f"e{nth}"),
               _accounts.c.ends_at < bindparam(f"e{after}"))
        .group_by(_accounts.c.site, _accounts.c.state) for nth, after in pairwise(range(edges))))


def next_ends(tx: Tx, now: datetime, limit: int) -> list[Standing]:
    """The accounts that end soonest. Each state is asked for by itself: the index then has them in their order."""
    found = [one for state in _ENDING for one in _standing(tx, _columns().where(
        _accounts.c.state == state, _accounts.c.ends_at >= now).order_by(_accounts.c.ends_at).limit(limit))]
    return sorted(found, key=lambda one: (str(one.ends_at), one.id))[:limit]


def unfenced(tx: Tx, before: datetime, limit: int) -> tuple[dict[str, int], list[Standing]]:
    """Accounts whose end was before this and that are not known to be fenced: how many at each site, and the latest."""
    late = (_accounts.c.state.in_(_USABLE), _accounts.c.ends_at < before)
    counts = _by_site(tx, select(_accounts.c.site, func.count()).where(*late))
    first = _columns().where(*late).order_by(_accounts.c.ends_at, _accounts.c.id).limit(limit)
    return counts, _standing(tx, first) if counts else []


def stuck(tx: Tx, limit: int) -> tuple[dict[str, int], list[Standing]]:
    """Accounts with a STUCK mark: how many at each site, and up to `limit` of each site."""
    marked = _accounts.c.stuck.is_not(None)
    counts = _by_site(tx, select(_accounts.c.site, func.count()).where(marked))
    some = [_columns().where(marked, _accounts.c.site == site).order_by(_accounts.c.id).limit(limit) for site in counts]
    return counts, [one for query in some for one in _standing(tx, query)]


def _by_site(tx: Tx, query: Select[Any]) -> dict[str, int]:
    rows = tx.execute(query.group_by(_accounts.c.site).order_by(_accounts.c.site))
    return {row[0]: row[1] for row in rows}


def _columns() -> Select[Any]:
    return select(_accounts.c.id, _accounts.c.site, _accounts.c.state, _accounts.c.ends_at, _accounts.c.stuck)


def _standing(tx: Tx, query: Executable) -> list[Standing]:
    return [Standing(row.id, row.site, State(row.state), row.ends_at, stuck_of(row.stuck)) for row in tx.execute(query)]


def waiting(tx: Tx, now: datetime) -> dict[Owed, Waiting]:
    """Of each kind of work, what is due and held by nobody."""
    rows = tx.execute(select(_accounts.c.owed, func.count(), func.min(_accounts.c.due_at))
                      .where(_accounts.c.owed.in_([what.value for what in Owed]), _accounts.c.due_at <= now)
                      .group_by(_accounts.c.owed))
    found = {Owed(owed): Waiting(count, since) for owed, count, since in rows}
    return {what: found.get(what, Waiting(0, None)) for what in Owed}


def unsent(tx: Tx, now: datetime, limit: int) -> tuple[int, list[Unsent]]:
    """Callbacks and mails to be delivered by now: how many, and by sender and channel those that wait longest."""
    rows = tx.execute(
        select(tables.senders.c.name, _outbox.c.channel, func.count(), func.min(_outbox.c.at),
               func.max(_outbox.c.attempts))
        .join(tables.senders, tables.senders.c.id == _outbox.c.sender)
        .where(_outbox.c.due_at.is_not(None), _outbox.c.at <= now)
        .group_by(tables.senders.c.name, _outbox.c.channel).order_by(func.min(_outbox.c.at))).all()
    return sum(row[2] for row in rows), [Unsent(*row) for row in rows[:limit]]


def fences(tx: Tx, since: datetime, limit: int) -> list[FenceAt]:
    """Fences that ends have placed since then, newest first."""
    rows = tx.execute(select(_accounts.c.id, _accounts.c.site, _accounts.c.ends_at, _accounts.c.fenced_at)
                      .where(_accounts.c.fenced_at >= since, _accounts.c.fenced_by == FencedBy.END.value)
                      .order_by(_accounts.c.fenced_at.desc()).limit(limit))
    return [FenceAt(*row) for row in rows]
