"""Values that several documents share: names, words, lengths, instants."""

import re
from collections.abc import Callable, Collection
from datetime import datetime, timedelta

from yaml.nodes import Node

from orchestrator.flows.documents.fields import raw, text
from orchestrator.lifecycle import times
from orchestrator.lifecycle.errors import RuleError

_NAME = re.compile(r"[a-z][a-z0-9]*([.-][a-z0-9]+)*")


def name(node: Node) -> str:
    """A name: at most 40 small letters, digits, - and ."""
    value = text(node)
    if len(value) > 40 or not _NAME.fullmatch(value):
        raise RuleError("bad_field", f"{value!r} is not a name: at most 40 small letters, digits, - and .")
    return value


def matching(pattern: re.Pattern[str], what: str) -> Callable[[Node], str]:
    """Text of this form; `what` says it in words."""
    def read_it(node: Node) -> str:
        value = text(node)
        if not pattern.fullmatch(value):
            raise RuleError("bad_field", f"{value!r} is not {what}")
        return value
    return read_it


def one_of(names: Collection[str]) -> Callable[[Node], str]:
    """One of these words."""
    def read_it(node: Node) -> str:
        value = text(node)
        if value not in names:
            raise RuleError("bad_field", f"{value!r} is not one of {', '.join(names)}")
        return value
    return read_it


def at_least(parse: Callable[[object], int], low: int, shown: str) -> Callable[[Node], int]:
    """A size or rate that is not too small."""
    def read_it(node: Node) -> int:
        value = parse(raw(node))
        if value < low:
            raise RuleError("bad_field", f"{raw(node)} is less than {shown}")
        return value
    return read_it


def span(low: int, high: timedelta) -> Callable[[Node], timedelta]:
    """A length of time up to `high`; `low` 0 takes 0s, too."""
    def read_it(node: Node) -> timedelta:
        written = raw(node)
        length = timedelta() if low == 0 and written == "0s" else times.span(written)
        if length > high:
            raise RuleError("bad_field", f"{written} is more than {times.show_span(high)}")
        return length
    return read_it


def instant(now: datetime) -> Callable[[Node], datetime]:
    """An instant, civil time or with an offset."""
    return lambda node: times.parse(raw(node), now)
