"""What a name, an id, a mail address and a public key may look like when they come through a door.

Ids are plain ASCII. Names of people and firms may be in any script, but hold nothing that a shell, a path, an option
or the reader's eye could take for something else.
"""

import re
import unicodedata
from typing import Annotated

from pydantic import AfterValidator, StringConstraints

from orchestrator.flows.vouchers.claim import checked_key
from orchestrator.lifecycle.errors import RuleError

_RESERVED = frozenset({"root", "admin", "daemon", "nobody", "sshd", "sudo", "toor", "wheel", "tenure"})
_ID = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._:@-]{0,126}[A-Za-z0-9])?")
_MAIL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._%+-]{0,63}@"
                   r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z]{2,63}")
_PUNCTUATION = frozenset(" .,'’·•-()（）、，")
_WIDE_BRACKETS = str.maketrans("（），", "(),")
_MIXES_WITH_LATIN = frozenset({"LATIN", "CJK", "HIRAGANA", "KATAKANA", "HANGUL", "BOPOMOFO", "IDEOGRAPHIC"})


def plain_id(text: str) -> str:
    """An id of the sender's. Raises ValueError."""
    if not _ID.fullmatch(text) or ".." in text:
        raise ValueError("must be 1 to 128 of A-Z a-z 0-9 . _ : @ -, with a letter or digit first and last")
    if text.lower() in _RESERVED:
        raise ValueError("is a reserved name")
    return text


def person_name(text: str) -> str:
    """A name of a person or a firm, in any one script (or Chinese, Japanese, Korean with Latin). Raises ValueError."""
    if text != text.strip() or not text or text[0] in "-.":
        raise ValueError("must not be empty nor begin or end with a space, '-' or '.'")
    plain = text.translate(_WIDE_BRACKETS)
    if unicodedata.normalize("NFKC", plain) != plain:
        raise ValueError("has look-alike characters (write it in Unicode's NFKC form)")
    for char in text:
        if char not in _PUNCTUATION and unicodedata.category(char)[0] not in "LM" and not char.isdecimal():
            raise ValueError(f"must not have the character U+{ord(char):04X}")
    if ".." in text or text.casefold() in _RESERVED:
        raise ValueError("is a reserved name")
    for word in re.split(r"[^\w]+", text):
        _one_script(word)
    return text


def _one_script(word: str) -> None:
    scripts = {unicodedata.name(char, "UNKNOWN").split()[0].split("-")[0] for char in word if char.isalpha()}
    if len(scripts) > 1 and not scripts <= _MIXES_WITH_LATIN:
        raise ValueError(f"mixes {' and '.join(sorted(scripts))} letters in one word")


def mail(text: str) -> str:
    """A mail address in plain ASCII. Raises ValueError."""
    if len(text) > 254 or not _MAIL.fullmatch(text):
        raise ValueError("is not a plain mail address")
    return text


def voucher_code(text: str) -> str:
    """A voucher code as its holder types it. Raises ValueError."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{3,127}", text):
        raise ValueError("must be 4 to 128 of A-Z a-z 0-9 _ -")
    return text


def public_key(text: str) -> str:
    """An OpenSSH public key without options and comment. Raises ValueError."""
    try:
        return checked_key(text).line
    except RuleError as error:
        raise ValueError(str(error)) from error


ACCOUNT = r"^a[a-z2-7]{9}$"
PLAIN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$"
"""What lists may be asked for by: names and ids of ours."""

PlainId = Annotated[str, StringConstraints(min_length=1, max_length=128), AfterValidator(plain_id)]
PersonName = Annotated[str, StringConstraints(min_length=1, max_length=200), AfterValidator(person_name)]
Mail = Annotated[str, StringConstraints(min_length=3, max_length=254), AfterValidator(mail)]
VoucherCode = Annotated[str, StringConstraints(min_length=4, max_length=128), AfterValidator(voucher_code)]
PublicKey = Annotated[str, StringConstraints(min_length=20, max_length=4096), AfterValidator(public_key)]
AccountId = Annotated[str, StringConstraints(pattern=ACCOUNT)]
OfferName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9](?:[a-z0-9.-]{0,62}[a-z0-9])?$")]
