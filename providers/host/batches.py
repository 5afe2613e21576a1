"""Many accounts in few requests: an answer for each, in the order asked."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from providers.protocol import Cleaned, Fenced, Refused, checked_account, checked_generation

Row = TypeVar("Row", Fenced, Cleaned)
Batch = list[tuple[str, int]]


def each(batch: Sequence[tuple[str, int]], most: int, ask: Callable[[Batch], list[Row]],
         refuse: Callable[[str, Refused], Row]) -> list[Row]:
    """Ask for at most so many (id, generation) at once. What is no account id gets a refusal of its own and does not
    reach the site."""
    answered: dict[str, Row] = {}
    sound: Batch = []
    for account, generation in batch:
        try:
            sound.append((checked_account(account), checked_generation(generation)))
        except Refused as wrong:
            answered[account] = refuse(account, wrong)
    for start in range(0, len(sound), most):
        answered |= {row.account: row for row in ask(sound[start : start + most])}
    return [answered[account] for account, _ in batch]
