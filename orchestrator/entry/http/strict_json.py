"""JSON as a door accepts it: one reading only, bounded, and nothing in it that a later stage could choke on."""

import json
import math
import re
from collections.abc import Iterator
from typing import Any, NoReturn

from orchestrator.lifecycle.errors import RuleError

MAX_DEPTH = 8
MAX_INT = 2**53
"""Beyond it, parsers of other languages read another number."""

_TOKENS = re.compile(r'"(?:[^"\\]|\\.)*"?|[\[{]|[\]}]', re.DOTALL)


class BadJson(RuleError):
    """These bytes are not JSON that has exactly one meaning."""

    def __init__(self, message: str) -> None:
        super().__init__("bad_json", message)


def loads(raw: bytes) -> dict[str, Any]:
    """The object in `raw`. Raises BadJson for anything that two parsers could read in two ways."""
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadJson(f"the body is not UTF-8 (byte {error.start})") from error
    _check_depth(text)
    try:
        value = json.loads(text, object_pairs_hook=_object, parse_constant=_constant, parse_float=_float,
                           parse_int=_int)
    except BadJson:
        raise
    except (ValueError, RecursionError) as error:
        raise BadJson(f"the body is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise BadJson("the body is not a JSON object")
    for string in _strings(value):
        _check_string(string)
    return value


def _check_depth(text: str) -> None:
    depth = 0
    for token in _TOKENS.finditer(text):
        first = text[token.start()]
        if first in "[{":
            depth += 1
            if depth > MAX_DEPTH:
                raise BadJson(f"the body is nested deeper than {MAX_DEPTH}")
        elif first in "]}":
            depth -= 1


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise BadJson(f"the key {twice[:64]!r} stands twice in one object")
    return found


def _constant(text: str) -> NoReturn:
    raise BadJson(f"{text} is not a JSON number")


def _float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise BadJson("a number in the body is too large")
    return value


def _int(text: str) -> int:
    if len(text) > 20 or abs(int(text)) > MAX_INT:
        raise BadJson("a number in the body is too large")
    return int(text)


def _strings(value: Any) -> Iterator[str]:
    match value:
        case str():
            yield value
        case dict():
            for key, inner in value.items():
                yield key
                yield from _strings(inner)
        case list():
            for inner in value:
                yield from _strings(inner)


def _check_string(text: str) -> None:
    if "\x00" in text or any("\ud800" <= char <= "\udfff" for char in text):
        raise BadJson("a string in the body holds NUL or half a surrogate pair")
