"""The clean-exit certificate (清退证明): JSON, signed with Ed25519 over its exact bytes, for anybody to verify."""

import json
from datetime import datetime, timedelta
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_public_key,
)

from orchestrator.flows.effects import commit
from orchestrator.flows.messages.callbacks import text
from orchestrator.lifecycle.account import Account
from orchestrator.store import keys
from orchestrator.store.certificates import Certificate
from orchestrator.store.engine import Store, Tx

KEY = "certificate"


def signing_key(tx: Tx) -> Ed25519PrivateKey:
    """Tenure's own key, made on first use and kept sealed. Needs a write transaction the first time."""
    raw = keys.get(tx, KEY)
    if raw is None:
        fresh = Ed25519PrivateKey.generate()
        raw = keys.put_new(tx, KEY, fresh.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption()))
    return Ed25519PrivateKey.from_private_bytes(raw)


def public_key(store: Store) -> bytes:
    """The verifying key as PEM, for `openssl pkeyutl -verify -rawin -pubin`."""
    key = commit("keep.key", store, signing_key).public_key()
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def certify(tx: Tx, account: Account, inventory: dict[str, Any], reclaimed_at: datetime,
            site_time: datetime) -> Certificate:
    """Sign that nothing of the account is left: what was there before, what was found after, and when."""
    assert account.ends_at is not None or account.starts_at is None
    lag = account.fenced_at - account.ends_at if account.fenced_at and account.ends_at else None
    statement = {
        "type": "tenure.clean-exit/1", "account": account.id, "site": account.site, "offer": account.offer.name,
        "redemption": account.redemption, "contract": account.contract,
        "starts_at": text(account.starts_at), "ends_at": text(account.ends_at), "fenced_at": text(account.fenced_at),
        "fenced_by": account.fenced_by.value if account.fenced_by else None,
        "fence_lag_seconds": None if lag is None else max(lag, timedelta()).total_seconds(),
        "reclaimed_at": text(reclaimed_at), "reclaimed_at_by_site": text(site_time),
        "inventory_before": inventory.get("before", []), "usage": inventory.get("usage"), "inventory_after": [],
    }
    document = json.dumps(statement, ensure_ascii=False, indent=2, sort_keys=True).encode() + b"\n"
    return Certificate(account.id, document, signing_key(tx).sign(document), reclaimed_at)


def verifies(document: bytes, signature: bytes, public_pem: bytes) -> bool:
    """Whether these exact bytes were signed with this key."""
    key = load_pem_public_key(public_pem)
    if not isinstance(key, Ed25519PublicKey):
        return False
    try:
        key.verify(signature, document)
    except InvalidSignature:
        return False
    return True
