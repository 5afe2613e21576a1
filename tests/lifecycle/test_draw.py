"""Who wins is arithmetic that anyone can repeat."""

import hashlib
import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.lifecycle import draw
from orchestrator.lifecycle.draw import Entrant
from orchestrator.lifecycle.errors import RuleError

PRIZES = [Decimal(24), Decimal(96), Decimal(24)]
ENTRANTS = [Entrant(f"e-{nth}", priority=nth == 7) for nth in range(10)]
LIST = draw.entrants_list("2027-w10", "nanjing-trial", "2027-03-12T10:00:00+00:00", PRIZES, ENTRANTS)


def result(value: str = "3412.07") -> dict[str, Any]:
    return draw.result(LIST, value)


def test_the_commitment_is_the_hash_of_the_list_alone() -> None:
    """Plain SHA-256 of plain JSON: sixty characters of any language compute it."""
    plain = json.dumps(LIST, sort_keys=True, separators=(",", ":")).encode()
    assert draw.commitment(LIST) == hashlib.sha256(plain).hexdigest()


def test_the_lowest_lots_win_and_priority_comes_first() -> None:
    """Computed here anew, as a stranger would."""
    committed = draw.commitment(LIST)
    lots = {one.id: hashlib.sha256(f"{committed}\n3412.07\n{one.id}".encode()).hexdigest() for one in ENTRANTS}
    order = ["e-7", *sorted((name for name in lots if name != "e-7"), key=lots.__getitem__)]
    assert [won["entrant"] for won in result()["winners"]] == order[:3]
    assert result()["waiting"] == order[3:]


def test_the_highest_prize_goes_first() -> None:
    """In falling order, whatever order they were written in."""
    assert [won["prize"] for won in result()["winners"]] == ["96", "24", "24"]


def test_the_order_of_entering_does_not_matter() -> None:
    """The list is by entrant, so nobody gains by being early."""
    again = draw.entrants_list("2027-w10", "nanjing-trial", "2027-03-12T10:00:00+00:00", PRIZES, ENTRANTS[::-1])
    assert draw.commitment(again) == draw.commitment(LIST)


def test_a_published_result_verifies() -> None:
    """With and without the commitment published before."""
    assert draw.verify(json.loads(json.dumps(result())), draw.commitment(LIST)) == []


@pytest.mark.parametrize("change", [
    {"value": "3412.08"}, {"winners": []}, {"waiting": ["e-1"]}, {"commitment": "00"}, {"prizes": ["96"]},
    {"entrants": LIST["entrants"][1:]}, {"entrants": LIST["entrants"] * 2}, {"format": "other"}, {"entrants": 3},
    {"value": "two\nlines"}, {"value": 7}, {"entrants": [{"entrant": ["e-1"], "priority": False}]},
    {"entrants": [{"entrant": "\ud800", "priority": False}]}, {"entrants": ["e-1"]}, {"prizes": None},
    {"draw": "\udfff"}])
def test_a_changed_result_does_not_verify(change: dict[str, Any]) -> None:
    """Whatever was touched."""
    assert draw.verify(result() | change)


def test_a_list_exchanged_after_the_commitment_is_found() -> None:
    """The whole file is consistent; only the commitment of before tells."""
    other = draw.result(LIST | {"entrants": LIST["entrants"][:5]}, "3412.07")
    assert draw.verify(other) == []
    assert draw.verify(other, draw.commitment(LIST)) == ["the list is not the one that was committed to"]


def test_fewer_entrants_than_vouchers_all_win() -> None:
    """Nobody waits, and some vouchers stay."""
    few = draw.result(draw.entrants_list("d", "p", "t", PRIZES, ENTRANTS[:2]), "v")
    assert (len(few["winners"]), few["waiting"]) == (2, [])


@pytest.mark.parametrize("value", ["", " ", "a\nb", "x" * 201, "值"])
def test_a_strange_value_is_refused(value: str) -> None:
    """It has to be written the same by everybody."""
    with pytest.raises(RuleError):
        result(value)


@given(st.lists(st.text("abcdef", min_size=1, max_size=6), unique=True, max_size=30), st.integers(0, 40),
       st.from_regex(r"[0-9]{1,9}", fullmatch=True))
def test_everybody_wins_or_waits_exactly_once(names: list[str], prizes: int, value: str) -> None:
    """For any list, any number of vouchers and any value."""
    found = draw.result(draw.entrants_list("d", "p", "t", [Decimal(24)] * prizes, [Entrant(name) for name in names]),
                        value)
    assert sorted([won["entrant"] for won in found["winners"]] + found["waiting"]) == sorted(names)
    assert (len(found["winners"]), draw.verify(found)) == (min(prizes, len(names)), [])
