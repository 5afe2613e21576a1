"""The periods that pools and caps count in: civil days, Monday to Sunday for a week."""

from datetime import datetime, tzinfo
from enum import StrEnum


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
