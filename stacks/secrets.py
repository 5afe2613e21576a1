"""The salt by which Pulumi's CLI turns the passphrase into a key, made once for all stacks.

Left alone, the CLI makes one a stack and derives a key for it in `stack init` and again in `up`. No part's inputs or
facts are secret; the passphrase guards what an operator's own program might one day put beside them.
"""

import base64
import hashlib
import os
from pathlib import Path

import yaml
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from stacks.errors import StackBroken

ROUNDS = 1_000_000
"""Of PBKDF2 with SHA-256: Pulumi's number, in its `v1` format."""
KNOWN = b"pulumi"


def config_file(path: Path, passphrase: str) -> None:
    """Make the file that every run is given as its stack's settings; check that the passphrase is the file's own."""
    if path.exists():
        check(path, passphrase)
        return
    salt, nonce = os.urandom(8), os.urandom(12)
    sealed = AESGCM(_key(passphrase, salt)).encrypt(nonce, KNOWN, None)
    text = ":".join(["v1", _b64(salt), "v1", _b64(nonce), _b64(sealed)])
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(yaml.safe_dump({"encryptionsalt": text}))
    try:
        os.link(draft, path)
    except FileExistsError:
        check(path, passphrase)
    finally:
        draft.unlink()


def check(path: Path, passphrase: str) -> None:
    """Raise StackBroken when the passphrase is not the one this file was made with."""
    try:
        _, salt, _, nonce, sealed = str(yaml.safe_load(path.read_text())["encryptionsalt"]).split(":")
        AESGCM(_key(passphrase, base64.b64decode(salt))).decrypt(
            base64.b64decode(nonce), base64.b64decode(sealed), None
        )
    except InvalidTag as error:
        raise StackBroken(
            f"the stacks' passphrase is not the one that {path} was made with", remedy="give the passphrase used before"
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise StackBroken(
            f"{path} does not hold a salt as Pulumi writes it ({error})",
            remedy="restore it, or remove it to have it made anew",
        ) from error


def _key(passphrase: str, salt: bytes) -> bytes:
    return hashlib.pbkdf2_hmac("sha256", passphrase.encode(), salt, ROUNDS, 32)


def _b64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()
