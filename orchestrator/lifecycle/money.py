"""Money: Decimal yuan with two places, never a float, and the one place where it is rounded."""

import re
from decimal import ROUND_HALF_UP, Decimal

from orchestrator.lifecycle.errors import RuleError

FEN = Decimal("0.01")
ZERO = Decimal("0.00")
_SHOWN = Decimal("0.000001")
_YUAN = re.compile(r"[0-9]{1,12}(\.[0-9]{1,2})?")


def to_fen(amount: Decimal) -> Decimal:
    """Half-up to the fen."""
    return amount.quantize(FEN, rounding=ROUND_HALF_UP)


def short(amount: Decimal, least: int = 2) -> Decimal:
    """What is not rounded to the fen (the price of an hour, units) as it is told: with six places at most, with
    `least` at least, and else without zeros at the end."""
    rounded = amount.quantize(_SHOWN, rounding=ROUND_HALF_UP)
    needed = -int(rounded.normalize().as_tuple().exponent)
    return rounded.quantize(Decimal(1).scaleb(-max(least, needed)))


def yuan(text: object) -> Decimal:
    """Yuan of `5000` or `5000.50`; a third place is refused and never rounded. Raises RuleError."""
    if not isinstance(text, str) or not _YUAN.fullmatch(text):
        raise RuleError("bad_money", f"{text!r} is not an amount of yuan with at most two places (for example 5000.00)")
    return Decimal(text).quantize(FEN)


def show(amount: Decimal) -> str:
    """`50,000,000.00 yuan`."""
    return f"{amount:,.2f} yuan"
