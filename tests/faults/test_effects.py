"""Every side effect of a flow has a name and two failpoints: read from the source, so that none can be forgotten."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.flows import effects
from providers.protocol import Site

FLOWS = Path(effects.__file__).parent
FILES = sorted(FLOWS.rglob("*.py"))
SITE = {"arm", "open", "issue", "rescue", "fence", "unfence", "warn", "clean", "prepare", "unprepare"}
"""What changes something at a site. The rest of the protocol only looks."""
STACK = {"up", "refresh", "destroy", "remove"}
NAMING = {"effect": 0, "commit": 0, "take": 1, "_write_down": 1}
"""Functions that take an effect's name, and as which argument."""


def _calls(file: Path) -> Iterator[ast.Call]:
    yield from (node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Call))


def _named() -> set[str]:
    """Every effect's name that is written down in a flow."""
    found = set()
    for call in (call for file in FILES for call in _calls(file)):
        # `effect("x", act)`, and `tried(what, effect, "x", act)` where it is handed on.
        words = [call.func, *call.args]
        for index, word in enumerate(words):
            name = word.attr if isinstance(word, ast.Attribute) else getattr(word, "id", "")
            if name not in NAMING or len(words) <= index + 1 + NAMING[name]:
                continue
            argument = words[index + 1 + NAMING[name]]
            if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                found.add(argument.value)
    return found


def test_every_name_in_the_source_is_known_and_every_known_name_is_used() -> None:
    """NAMES is exactly what flows say; `<flow>.later` is put together in `durable`."""
    put_together = {f"{flow}.later" for flow in ("provision", "reclaim", "convert", "warn")}
    assert _named() | put_together == set(effects.NAMES)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_nothing_changes_the_world_outside_an_effect(file: Path) -> None:
    """No call of a site's or a stack's changing method, and no write transaction, is made directly."""
    direct = []
    for call in _calls(file):
        if not isinstance(call.func, ast.Attribute):
            continue
        of = ast.unparse(call.func.value)
        if (call.func.attr in SITE and ("site" in of or "reached" in of)) or (
                call.func.attr in STACK and "stacks" in of):
            direct.append(f"{of}.{call.func.attr} in line {call.lineno}")
        if call.func.attr == "write" and "store" in of and file.stem != "effects":
            direct.append(f"{of}.write in line {call.lineno}")
    assert direct == []


def test_what_changes_a_site_is_all_of_its_protocol_that_is_not_a_look() -> None:
    """A method added to the protocol has to be sorted into one of the two."""
    looks = {"now", "export", "leftovers", "accounts", "usage", "stored", "outages", "capacity", "check", "close"}
    assert {name for name in vars(Site) if not name.startswith("_") and callable(getattr(Site, name))} == SITE | looks


def test_an_unknown_effect_is_refused() -> None:
    """A name that is not in NAMES would have no test."""
    with pytest.raises(LookupError):
        effects.effect("made.up", print)
