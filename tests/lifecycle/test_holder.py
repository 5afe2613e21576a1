"""The unified social credit code and its check digit (GB 32100-2015)."""

import pytest

from orchestrator.lifecycle.errors import RuleError
from orchestrator.lifecycle.holder import _ALPHABET, credit_code

GOOD = ["91350100M000100Y43", "91330100799655058B", "9144030071526726XG", "914403001922038216", "91110000802100433B"]


@pytest.mark.parametrize("code", GOOD)
def test_a_right_code_is_taken(code: str) -> None:
    """The standard's own example and codes in public use."""
    assert credit_code(code) == code


@pytest.mark.parametrize("code", GOOD)
def test_any_other_check_digit_is_refused(code: str) -> None:
    """Of 31 last characters one is right."""
    for last in set(_ALPHABET) - {code[17]}:
        with pytest.raises(RuleError):
            credit_code(code[:17] + last)


@pytest.mark.parametrize("code", ["", "9", GOOD[0][:17], GOOD[0] + "3", GOOD[0].lower(), "I" + GOOD[0][1:],
                                  GOOD[0] + "\n", "９" + GOOD[0][1:], "91A50100M000100Y43"])
def test_what_is_not_a_code_is_refused(code: str) -> None:
    """Length, letters that it does not use, and look-alikes."""
    with pytest.raises(RuleError) as refused:
        credit_code(code)
    assert refused.value.code == "bad_entity"
