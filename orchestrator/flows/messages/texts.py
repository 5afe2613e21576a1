"""Texts that holders read, in Chinese and English, from strict templates."""

from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from zoneinfo import ZoneInfo

import jinja2

from orchestrator.lifecycle.account import Account

FOLDER = Path(__file__).resolve().parents[3] / "templates" / "messages"
LANGUAGES = ("zh", "en")


@cache
def _environment() -> jinja2.Environment:
    # Plain text for terminals, so nothing is escaped for HTML; ids and instants are all that goes in.
    return jinja2.Environment(loader=jinja2.FileSystemLoader(FOLDER), undefined=jinja2.StrictUndefined,
                              autoescape=False, trim_blocks=True, keep_trailing_newline=False)


def warning(account: Account, now: datetime, timezone: str) -> str:
    """What terminals show before the end: how long is left, until when, and what happens then."""
    assert account.ends_at is not None
    left = _minutes(account.remaining(now))
    values = {
        "account": account.id, "hours": left // 60, "minutes": left % 60,
        "ends_at": _civil(account.ends_at, timezone),
        "grace_hours": int(account.offer.grace / timedelta(hours=1)),
    }
    return "\n".join(_environment().get_template(f"warning.{language}.txt").render(values) for language in LANGUAGES)


def drained(account: Account, timezone: str) -> tuple[str, str]:
    """What a holder is told when their site is to be emptied: until when the account is there. In each language."""
    assert account.ends_at is not None
    values = {"site": account.site,
              "ends_at": _civil(account.ends_at, timezone)}
    zh, en = (_environment().get_template(f"drained.{language}.txt").render(values) for language in LANGUAGES)
    return zh, en


def _civil(at: datetime, timezone: str) -> str:
    return at.astimezone(ZoneInfo(timezone)).strftime("%Y-%m-%d %H:%M:%S %Z")


def _minutes(left: timedelta) -> int:
    """Whole minutes, rounded up: a warning never promises less than there is by a minute."""
    return -(-int(left.total_seconds()) // 60)
