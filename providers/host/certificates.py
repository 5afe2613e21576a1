"""SSH user certificates: checks a holder's public key and signs a certificate for it with a site's CA key."""

import base64
import hashlib
import hmac
from datetime import datetime, timedelta

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    SSHCertificateBuilder,
    SSHCertificateType,
    load_ssh_private_key,
    load_ssh_public_key,
)

from providers.protocol import NeedsHuman, Refused

PublicKey = ed25519.Ed25519PublicKey | ec.EllipticCurvePublicKey | rsa.RSAPublicKey
PrivateKey = ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

KEY_TYPES = ("ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "ssh-rsa")
LEAST_RSA_BITS = 3072
LONGEST_LINE = 8192
BEFORE = timedelta(minutes=1)
"""How much earlier than now a certificate is valid: the host's clock may be a little behind ours."""


def holder_key(line: str) -> PublicKey:
    """The key of one `authorized_keys` line without options. Anything else: Refused, which says why."""
    text = line.strip(" \t\r\n") if isinstance(line, str) else ""
    if not text or len(text) > LONGEST_LINE or not text.isprintable():
        raise Refused("public key: give one line as in ~/.ssh/id_ed25519.pub")
    if text.split(" ", 1)[0] not in KEY_TYPES:
        raise Refused(f"public key: must begin with one of {', '.join(KEY_TYPES)} (no options, no certificates)")
    try:
        key = load_ssh_public_key(text.encode())
    except (ValueError, UnsupportedAlgorithm) as broken:
        raise Refused("public key: the line is damaged or not a public key") from broken
    if isinstance(key, rsa.RSAPublicKey) and key.key_size < LEAST_RSA_BITS:
        raise Refused(f"public key: RSA of {key.key_size} bits is too short, use at least {LEAST_RSA_BITS} or ed25519")
    if not isinstance(key, PublicKey):
        raise Refused("public key: use ed25519, ecdsa or rsa")
    return key


def private_key(pem: str, what: str) -> PrivateKey:
    """An unencrypted OpenSSH private key. `what` names it in the error; the key itself is never shown."""
    try:
        key = load_ssh_private_key(pem.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        # Without `from`: some parsers quote the key's text in their message.
        raise NeedsHuman(f"{what} is not an OpenSSH private key", remedy="make the site's keys anew") from None
    if not isinstance(key, PrivateKey):
        raise NeedsHuman(f"{what} is of a kind that is not used here", remedy="use an ed25519 key")
    return key


def public_line(key: PublicKey) -> str:
    """`type base64`, one line, without a comment."""
    return key.public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH).decode()


def fingerprint(key: PublicKey) -> str:
    """As `ssh-keygen -l` shows it."""
    blob = base64.b64decode(public_line(key).split(" ")[1])
    return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")


def principal(ca: PrivateKey, account: str, key: PublicKey) -> str:
    """The one principal of this account and key: nobody without the CA key can guess it, and the same key asked
    again gets the same."""
    # DER and not OpenSSH's own form, which carries random check bytes.
    material = ca.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    stable = hashlib.sha256(material).digest()
    named = hmac.new(stable, f"tenure principal\n{account}\n{fingerprint(key)}".encode(), hashlib.sha256)
    return f"{account}-{named.hexdigest()[:32]}"


def mint(
    ca: PrivateKey, key: PublicKey, account: str, name: str, now: datetime, end: datetime, *, terminal: bool = True
) -> str:
    """A user certificate, one line: a terminal and nothing else (no forwarding of any kind, no ~/.ssh/rc), or with
    `terminal` off not even that.

    `name` is the principal, `now` and `end` aware instants; the certificate ends with the whole second that is not
    after `end`.
    """
    until = int(end.timestamp())
    if until <= now.timestamp():
        raise Refused(f"account {account}: its time is over, no credential is made")
    builder = (
        SSHCertificateBuilder()
        .public_key(key)
        .type(SSHCertificateType.USER)
        .key_id(f"tenure {account}".encode())
        .valid_principals([name.encode()])
        .valid_after(int((now - BEFORE).timestamp()))
        .valid_before(until)
        .serial(int.from_bytes(hashlib.sha256(f"{name} {until}".encode()).digest()[:8], "big"))
    )
    if terminal:
        builder = builder.add_extension(b"permit-pty", b"")
    return builder.sign(ca).public_bytes().decode()
