"""The periods that pools and caps count in: civil days, Monday to Sunday for a week."""

import re
from datetime import UTC, datetime, tzinfo
from enum import StrEnum

from orchestrator.lifecycle.errors import RuleError

_YEAR = re.compile(r"20[0-9]{2}|2[1-9][0-9]{2}")
_MONTH = re.compile(r"(20[0-9]{2}|2[1-9][0-9]{2})-(0[1-9]|1[0-2])")


class Period(StrEnum):
    WEEK = "week"
    MONTH = "month"
    YEAR = "year"
    EVER = "ever"


def named(per: Period, at: datetime, where: tzinfo) -> str:
    """The period that an instant falls into, by the civil time of `where`: `2027`, `2027-03`, `2027-W09`, `ever`."""
    civil = at.astimezone(where)
    match per:
        case Period.WEEK:
            year, week, _ = civil.isocalendar()
            return f"{year}-W{week:02}"
        case Period.MONTH:
            return f"{civil:%Y-%m}"
        case Period.YEAR:
            return f"{civil:%Y}"
        case _:
            return "ever"


def month(called: str, where: tzinfo) -> tuple[datetime, datetime]:
    """The first instant of a civil month and that of the next, in UTC. RuleError `bad_month`."""
    match = _MONTH.fullmatch(called)
    if match is None:
        raise RuleError("bad_month", f"{called!r} is not a month: write 2026-11")
    year, number = int(match[1]), int(match[2])
    first = datetime(year, number, 1, tzinfo=where)
    after = datetime(year + number // 12, number % 12 + 1, 1, tzinfo=where)
    return first.astimezone(UTC), after.astimezone(UTC)


def year(called: str, where: tzinfo) -> tuple[datetime, datetime]:
    """The same of a civil year. RuleError `bad_year`."""
    if not _YEAR.fullmatch(called):
        raise RuleError("bad_year", f"{called!r} is not a year: write 2027")
    first, after = (datetime(int(called) + more, 1, 1, tzinfo=where) for more in (0, 1))
    return first.astimezone(UTC), after.astimezone(UTC)


def months(since: datetime, until: datetime, where: tzinfo) -> list[str]:
    """The civil months that [since, until) touches, first to last."""
    found, at = [], since
    while at < until:
        found.append(named(Period.MONTH, at, where))
        at = month(found[-1], where)[1]
    return found
