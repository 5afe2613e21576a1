"""Instants as operators write and read them: with an offset, or as civil time of the zone they work in."""

import re
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from functools import cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from orchestrator.lifecycle import sizes
from orchestrator.lifecycle.errors import RuleError

ZONE = "Asia/Shanghai"
_CHINA = timezone(timedelta(hours=8), ZONE)
_BEGINNING, _END = datetime(1970, 1, 1, tzinfo=UTC), datetime(3000, 1, 1, tzinfo=UTC)
_UTC = re.compile(r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?(?:Z\b|\+00:00)")
_FORM = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d{1,6})?)?\s?(Z|[+-]\d\d:?\d\d)?)?")


@cache
def zone(name: str = ZONE) -> tzinfo:
    """Where civil times are read and shown. China has had one zone without summer time since 1992, so a machine
    without zone data is no reason to fail."""
    try:
        return ZoneInfo(name)
    except ZoneInfoNotFoundError:
        if name != ZONE:
            raise
        return _CHINA


def midnight(day: date, where: tzinfo) -> datetime:
    """The first instant of a civil day, in UTC."""
    return datetime(day.year, day.month, day.day, tzinfo=where).astimezone(UTC)


def parse(text: str, now: datetime, where: tzinfo | None = None) -> datetime:
    """An instant in UTC. `where` is the zone of civil times, else Asia/Shanghai.

    `2027-01-31T18:00:00+08:00`, `2027-01-31 18:00` (civil), `2027-01-31` (its first moment), `+24h` (from now),
    `now`. Between 1970 and 2999, so that what is added to it or taken from it is an instant, too. Raises RuleError
    `bad_time`.
    """
    text = text.strip()
    if text == "now":
        return now
    try:
        at = now + span(text[1:]) if text.startswith("+") else _instant(text, where)
    except OverflowError:
        at = _END
    if not _BEGINNING <= at < _END:
        raise RuleError("bad_time", f"time {text!r} is not one between {_BEGINNING.year} and {_END.year - 1}")
    return at


def _instant(text: str, where: tzinfo | None) -> datetime:
    if not _FORM.fullmatch(text):
        raise RuleError("bad_time", f"time {text!r} is not one: write 2027-01-31T18:00:00+08:00, "
                                    f"'2027-01-31 18:00' ({ZONE}) or +24h")
    try:
        at = datetime.fromisoformat(text)
        if at.tzinfo is None:
            at = at.replace(tzinfo=where or zone())
        return at.astimezone(UTC)
    except ValueError as error:
        raise RuleError("bad_time", f"time {text!r}: {error}") from error


def span(text: str) -> timedelta:
    """`24h`, `90m`, `30s`, `7d`, and these written together: `1d12h`. Raises RuleError."""
    pieces = re.findall(r"\d+[a-z]+", text)
    if "".join(pieces) != text or not pieces:
        sizes.duration(text)
    try:
        return timedelta(seconds=sum(sizes.duration(piece) for piece in pieces))
    except OverflowError as error:
        raise RuleError("bad_size", f"duration {text!r} is too large") from error


def show(at: datetime | None, where: tzinfo | None = None) -> str:
    """Civil time with its offset, to the second; `-` for none."""
    return "-" if at is None else at.astimezone(where or zone()).isoformat(sep=" ", timespec="seconds")


def civil(text: str, where: tzinfo | None = None) -> str:
    """The text with each instant in UTC, as errors and the journal write them, as `show` writes it."""

    def shown(found: re.Match[str]) -> str:
        try:
            return show(datetime.fromisoformat(found[0]), where)
        except (ValueError, OverflowError):
            # What somebody wrote, and is told of.
            return found[0]

    return _UTC.sub(shown, text)


def show_span(length: timedelta) -> str:
    """The two largest units: `2d 3h`, `4m 5s`; negative ones with `-`."""
    seconds = round(length.total_seconds())
    sign, seconds = ("-", -seconds) if seconds < 0 else ("", seconds)
    pieces = []
    for unit, worth in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        count, seconds = divmod(seconds, worth)
        if count:
            pieces.append(f"{count}{unit}")
    return sign + (" ".join(pieces[:2]) or "0s")
