"""The weekly draw (抽取): who wins is arithmetic on the committed list and a public value, for anyone to repeat.

The list is committed by its SHA-256 before the public value exists. Each entrant's lot is the SHA-256 of commitment,
value and entrant, one on each line; the lowest lots win, those with priority first. The prizes go in falling order.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from orchestrator.lifecycle.errors import RuleError

FORMAT = "tenure-draw-1"
_LIST = ("format", "draw", "programme", "closes_at", "prizes", "entrants")
_VALUE = re.compile(r"[\x21-\x7e]([\x20-\x7e]{0,198}[\x21-\x7e])?")


@dataclass(frozen=True, slots=True)
class Entrant:
    """`id` stands for an entity or a holder and says nothing about it."""

    id: str
    priority: bool = False


def entrants_list(draw: str, programme: str, closes_at: str, prizes: Sequence[Decimal],
                  entrants: Sequence[Entrant]) -> dict[str, Any]:
    """What is committed: entrants by id, prizes in falling order."""
    return {"format": FORMAT, "draw": draw, "programme": programme, "closes_at": closes_at,
            "prizes": [str(prize) for prize in sorted(prizes, reverse=True)],
            "entrants": [{"entrant": one.id, "priority": one.priority}
                         for one in sorted(entrants, key=lambda one: one.id)]}


def commitment(listed: Mapping[str, Any]) -> str:
    """SHA-256 of the list as JSON without spaces, its names sorted, in UTF-8."""
    plain = {name: listed[name] for name in _LIST}
    return hashlib.sha256(json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
                          ).hexdigest()


def lot(committed: str, value: str, entrant: str) -> str:
    """An entrant's lot; the lowest win."""
    return hashlib.sha256(f"{committed}\n{value}\n{entrant}".encode()).hexdigest()


def result(listed: Mapping[str, Any], value: str) -> dict[str, Any]:
    """The list with its commitment, the value, who won what, and who waits, in this order. RuleError `bad_value`."""
    if not _VALUE.fullmatch(value):
        raise RuleError("bad_value", "the public value is 1 to 200 plain characters on one line")
    committed = commitment(listed)
    order = sorted(listed["entrants"], key=lambda one: (not one["priority"], lot(committed, value, one["entrant"])))
    names = [one["entrant"] for one in order]
    prizes = listed["prizes"]
    return {**{name: listed[name] for name in _LIST}, "commitment": committed, "value": value,
            "winners": [{"entrant": name, "prize": prize} for name, prize in zip(names, prizes, strict=False)],
            "waiting": names[len(prizes):]}


def verify(published: object, committed: str | None = None) -> list[str]:
    """What is wrong with a published result: nothing when computing it again gives the same. `committed` is the
    commitment that was published before the value was known."""
    if not isinstance(published, dict) or published.get("format") != FORMAT:
        return [f"this is no draw of format {FORMAT}"]
    if "value" not in published:
        return ["this is a list of entrants without a result: it has no value and no winners yet; verify what is "
                "published once it is drawn"]
    try:
        names = [one["entrant"] for one in published["entrants"]]
        if not all(isinstance(name, str) for name in names):
            return ["the file cannot be read as a draw: an entrant's id is not text"]
        again = result(published, published["value"])
    except KeyError as error:
        return [f"the file cannot be read as a draw: it has no {error.args[0]}"]
    except RuleError as error:
        return [f"the file cannot be read as a draw: {error}"]
    except (TypeError, AttributeError, ValueError, RecursionError):
        return [f"the file cannot be read as a draw: something in it is not what {FORMAT} has there"]
    found = [f"{name} is no part of a draw: nothing shows that it is so" for name in published if name not in again]
    found += [f"{name} is not what the list and the value give" for name in ("commitment", "winners", "waiting")
             if published.get(name) != again[name]]
    if len(set(names)) != len(names):
        found.append("an entrant is in the list twice")
    if committed is not None and committed != again["commitment"]:
        found.append("the list is not the one that was committed to")
    return found
