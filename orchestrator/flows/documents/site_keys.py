"""A site's own keys: the operator's login and the certificate authority. Made once, kept sealed, never shown."""

from collections.abc import Mapping

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_ssh_private_key,
)

from orchestrator.lifecycle.errors import RuleError
from providers import registry


def missing(kind: str, known: Mapping[str, str]) -> dict[str, str]:
    """Fresh keys for those that the site does not have yet. Existing ones are never replaced: accounts hang on them."""
    return {name: new_key() for name in registry.secrets_of(kind) if name not in known}


def new_key() -> str:
    """An Ed25519 private key in OpenSSH's form."""
    key = Ed25519PrivateKey.generate()
    return key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode()


def public_lines(site: str, secrets: Mapping[str, str]) -> dict[str, str]:
    """The public part of each key, one line as OpenSSH writes it."""
    lines = {}
    for name, pem in sorted(secrets.items()):
        try:
            public = load_ssh_private_key(pem.encode(), password=None).public_key()
        except (ValueError, UnsupportedAlgorithm):
            # Without `from`: some parsers quote the key's text in their message.
            raise RuleError("bad_key", f"site {site}: {name} is not an OpenSSH private key") from None
        line = public.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
        lines[name] = f"{line} tenure-{site}-{name.removesuffix('_key')}"
    return lines
