"""Sealing with keys kept outside the database: AES-256-GCM for secrets, HMAC-SHA-256 for codes and tokens.

Of several sealing keys in the file the first seals, and each opens what it sealed. There is one hashing key: voucher
digests and claim links must stay the same for ever.
"""

import base64
import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from orchestrator.store.errors import WrongKey

_KEY = 32
_NONCE = 12
_MARK = 8
"""Bytes of a sealing key's fingerprint that stand before what it sealed."""


def _mark(key: bytes) -> bytes:
    return hashlib.sha256(b"tenure sealing key" + key).digest()[:_MARK]


class Keyring:
    """`sealing` is newest first. Two keyrings agree when their keys do; neither is ever printed."""

    def __init__(self, hashing: bytes, sealing: Sequence[bytes]) -> None:
        if len(hashing) != _KEY or not sealing or any(len(key) != _KEY for key in sealing):
            raise WrongKey(f"a keyring holds keys of {_KEY} bytes, at least one for sealing")
        self._hashing = hashing
        self._sealing = {_mark(key): AESGCM(key) for key in sealing}
        self._newest = _mark(sealing[0])
        self._keys = list(sealing)

    def __repr__(self) -> str:
        return f"Keyring({len(self._keys)} sealing keys)"

    @classmethod
    def new(cls) -> "Keyring":
        """A fresh keyring in memory."""
        return cls(secrets.token_bytes(_KEY), [secrets.token_bytes(_KEY)])

    @classmethod
    def create(cls, path: Path) -> "Keyring":
        """A fresh keyring in a new file of mode 0600. FileExistsError when there is one: it is never overwritten."""
        keyring = cls.new()
        _write_new(path, keyring._document())
        return keyring

    @classmethod
    def open(cls, path: Path) -> "Keyring":
        """The keyring in the file. WrongKey when it is missing, malformed or readable by others."""
        try:
            mode = path.stat().st_mode
            document = json.loads(path.read_text(encoding="ascii"))
            if mode & 0o077:
                raise WrongKey(f"key file {path} may be read by others; do: chmod 600 {path}")
            hashing = base64.b64decode(document["hashing"], validate=True)
            return cls(hashing, [base64.b64decode(key, validate=True) for key in document["sealing"]])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise WrongKey(f"key file {path} cannot be used: {error}") from error

    def _document(self) -> dict[str, Any]:
        def text(key: bytes) -> str:
            return base64.b64encode(key).decode("ascii")

        return {"format": 1, "hashing": text(self._hashing), "sealing": [text(key) for key in self._keys]}

    def seal(self, plain: bytes, place: str) -> bytes:
        """Seal for one place (`senders/s1/secret`): what is sealed opens nowhere else."""
        nonce = secrets.token_bytes(_NONCE)
        sealed = self._sealing[self._newest].encrypt(nonce, plain, place.encode())
        return self._newest + nonce + sealed

    def unseal(self, sealed: bytes, place: str) -> bytes:
        """What was sealed for this place. WrongKey when no key opens it or it was changed."""
        cipher = self._sealing.get(bytes(sealed[:_MARK]))
        if cipher is None:
            raise WrongKey(f"{place}: sealed with a key that is not in the key file")
        try:
            return cipher.decrypt(bytes(sealed[_MARK:_MARK + _NONCE]), bytes(sealed[_MARK + _NONCE:]), place.encode())
        except (InvalidTag, ValueError) as error:
            raise WrongKey(f"{place}: the sealed value was changed, or belongs elsewhere") from error

    def mac(self, purpose: str, data: str | bytes) -> bytes:
        """Keyed hash, 32 bytes. Each purpose has a key of its own."""
        key = hmac.digest(self._hashing, b"tenure/" + purpose.encode(), "sha256")
        return hmac.digest(key, data.encode() if isinstance(data, str) else data, "sha256")


def _write_new(path: Path, document: dict[str, Any]) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        json.dump(document, file)
        file.flush()
        os.fsync(file.fileno())
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
