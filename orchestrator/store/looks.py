"""Whether sites answer, as a worker saw it last: for whoever watches. Nothing is decided by it."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select

from orchestrator.store import tables
from orchestrator.store.engine import Tx
from orchestrator.store.sql import put as put_row
from orchestrator.store.sql import storable

_table = tables.looks
_LONGEST = 500


@dataclass(frozen=True, slots=True)
class Look:
    """The last look at a site. `answered_at` is its last answer, `silent_since` the first look since that had none."""

    site: str
    asked_at: datetime
    answered_at: datetime | None
    silent_since: datetime | None
    offset: timedelta | None
    """By how much its clock was ahead of ours, at its last answer."""
    error: str
    """Why it is silent; of one that answered, what is wrong with its reaper."""
    remedy: str

    @property
    def reaper_off(self) -> bool:
        """It answers, and would end no lease by itself."""
        return self.silent_since is None and bool(self.error)


def answered(tx: Tx, site: str, at: datetime, offset: timedelta, error: str = "", remedy: str = "") -> None:
    """It has answered; `error` when its reaper does not work."""
    put_row(tx, _table, {"site": site, "asked_at": at, "answered_at": at, "silent_since": None,
                         "offset_ms": round(offset.total_seconds() * 1000), "error": storable(error, _LONGEST),
                         "remedy": storable(remedy, _LONGEST)})


def silent(tx: Tx, site: str, at: datetime, error: str, remedy: str) -> None:
    """It has not."""
    row = tx.execute(select(_table.c.silent_since).where(_table.c.site == site)).first()
    since = row.silent_since if row is not None and row.silent_since is not None else at
    put_row(tx, _table, {"site": site, "asked_at": at, "silent_since": since, "error": storable(error, _LONGEST),
                         "remedy": storable(remedy, _LONGEST)})


def list_(tx: Tx) -> dict[str, Look]:
    """The last look at each site that was ever looked at."""
    return {row.site: _look(row) for row in tx.execute(select(_table))}


def _look(row: Any) -> Look:
    offset = None if row.offset_ms is None else timedelta(milliseconds=row.offset_ms)
    return Look(row.site, row.asked_at, row.answered_at, row.silent_since, offset, row.error, row.remedy)
