"""Who holds an account. An entity is known by its unified social credit code (统一社会信用代码, GB 32100-2015)."""

import re
from dataclasses import dataclass
from enum import StrEnum

from orchestrator.lifecycle.errors import RuleError

_ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"
_WEIGHTS = [pow(3, i, 31) for i in range(17)]
_CODE = re.compile(rf"[{_ALPHABET}]{{2}}[0-9]{{6}}[{_ALPHABET}]{{10}}")


class HolderKind(StrEnum):
    FIRM = "firm"
    UNIVERSITY = "university"
    INSTITUTE = "institute"
    INDIVIDUAL = "individual"


@dataclass(frozen=True, slots=True)
class Holder:
    """Personal data: kept apart from accounts and never in the journal, so that it can be erased."""

    id: str
    """The sender's id of the holder."""
    name: str
    kind: HolderKind
    email: str
    entity: str | None = None
    categories: tuple[str, ...] = ()
    """What programmes sort holders by, as the sender says it: an industry, a cluster."""
    city: str | None = None
    attestations: tuple[str, ...] = ()
    """What the holder has declared, by the names that programmes ask for."""


def credit_code(text: str) -> str:
    """The code itself when its 18 characters and check digit are right. Raises RuleError.

    Source: GB 32100-2015, weights 3^(i-1) mod 31, check = 31 - sum mod 31.
    """
    if not _CODE.fullmatch(text):
        raise RuleError("bad_entity", f"unified social credit code {text!r} is not 18 of its characters")
    total = sum(_ALPHABET.index(char) * weight for char, weight in zip(text[:17], _WEIGHTS, strict=True))
    expected = _ALPHABET[(31 - total % 31) % 31]
    if text[17] != expected:
        raise RuleError("bad_entity", f"unified social credit code {text!r}: its check digit should be {expected}")
    return text
