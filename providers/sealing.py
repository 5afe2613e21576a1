"""Seals a secret to a holder's own SSH public key in age's format: `age -d -i ~/.ssh/id_ed25519 FILE` opens it.

For sites whose credentials are secrets by nature (cloud sessions, tokens): what leaves here only the holder can read.
Format: age-encryption.org/v1, recipient types ssh-ed25519 and ssh-rsa.
"""

import base64
import hashlib
import os

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, hmac, serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, padding, rsa, x25519
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from providers.protocol import BadKey

VERSION = "age-encryption.org/v1"
ED25519 = f"{VERSION}/ssh-ed25519".encode()
RSA = f"{VERSION}/ssh-rsa".encode()
CHUNK = 64 * 1024
P = 2**255 - 19
HOW = "use an Ed25519 key (ssh-keygen -t ed25519): a secret can be sealed to it"


def armored(secret: bytes, public_key: str) -> str:
    """The secret for the owner of this OpenSSH public key alone, as printable text. BadKey for kinds of key that
    nothing can be sealed to."""
    written = public_key.split()
    try:
        key = serialization.load_ssh_public_key(" ".join(written[:2]).encode())
    except (ValueError, UnsupportedAlgorithm) as unusable:
        raise BadKey(f"this is not an OpenSSH public key that can be read; {HOW}") from unusable
    wire, file_key = base64.b64decode(written[1]), os.urandom(16)
    if isinstance(key, ed25519.Ed25519PublicKey):
        stanza = _ed25519(key, wire, file_key)
    elif isinstance(key, rsa.RSAPublicKey):
        stanza = _rsa(key, wire, file_key)
    else:
        raise BadKey(f"nothing can be sealed to a key of kind {written[0]}; {HOW}")
    header = f"{VERSION}\n{stanza}\n---"
    mac = hmac.HMAC(_derived(file_key, b"", b"header"), hashes.SHA256())
    mac.update(header.encode())
    nonce = os.urandom(16)
    sealed = _stream(_derived(file_key, nonce, b"payload"), secret)
    body = f"{header} {_b64(mac.finalize())}\n".encode() + nonce + sealed
    lines = base64.b64encode(body).decode()
    return "\n".join(["-----BEGIN AGE ENCRYPTED FILE-----",
                      *(lines[at:at + 64] for at in range(0, len(lines), 64)),
                      "-----END AGE ENCRYPTED FILE-----"])


def _ed25519(key: ed25519.Ed25519PublicKey, wire: bytes, file_key: bytes) -> str:
    raw = key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    recipient = _montgomery(raw)
    mine = x25519.X25519PrivateKey.generate()
    share = mine.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    shared = mine.exchange(x25519.X25519PublicKey.from_public_bytes(recipient))
    tweak = x25519.X25519PrivateKey.from_private_bytes(_derived(b"", wire, ED25519))
    shared = tweak.exchange(x25519.X25519PublicKey.from_public_bytes(shared))
    wrapped = ChaCha20Poly1305(_derived(shared, share + recipient, ED25519)).encrypt(bytes(12), file_key, None)
    return f"-> ssh-ed25519 {_tag(wire)} {_b64(share)}\n{_lines(wrapped)}"


def _rsa(key: rsa.RSAPublicKey, wire: bytes, file_key: bytes) -> str:
    oaep = padding.OAEP(mgf=padding.MGF1(hashes.SHA256()), algorithm=hashes.SHA256(), label=RSA)
    return f"-> ssh-rsa {_tag(wire)}\n{_lines(key.encrypt(file_key, oaep))}"


def _montgomery(edwards: bytes) -> bytes:
    """The same point as X25519 writes it: u = (1 + y) / (1 - y)."""
    y = int.from_bytes(edwards, "little") & ((1 << 255) - 1)
    return ((1 + y) * pow(1 - y, P - 2, P) % P).to_bytes(32, "little")


def _stream(key: bytes, secret: bytes) -> bytes:
    """Chunks of 64 KiB, each under its own nonce; the last one says so."""
    chunks = [secret[at:at + CHUNK] for at in range(0, len(secret), CHUNK)] or [b""]
    return b"".join(
        ChaCha20Poly1305(key).encrypt(number.to_bytes(11, "big") + bytes([number == len(chunks) - 1]), chunk, None)
        for number, chunk in enumerate(chunks))


def _derived(key: bytes, salt: bytes, info: bytes) -> bytes:
    return HKDF(hashes.SHA256(), 32, salt, info).derive(key)


def _tag(wire: bytes) -> str:
    return _b64(hashlib.sha256(wire).digest()[:4])


def _b64(raw: bytes) -> str:
    return base64.b64encode(raw).decode().rstrip("=")


def _lines(raw: bytes) -> str:
    """A stanza's body: lines of 64, the last one shorter, even when that makes it empty."""
    text = _b64(raw)
    return "\n".join(text[at:at + 64] for at in range(0, len(text) + 1, 64))
