"""The claim: a credential for the holder's own key, minted when it is asked for; it ends with the lease."""

import base64
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from orchestrator.flows.context import Context, spec_of
from orchestrator.flows.effects import commit, effect
from orchestrator.flows.messages.callbacks import text
from orchestrator.flows.vouchers import clock
from orchestrator.lifecycle.account import USABLE, Account, State
from orchestrator.lifecycle.errors import RuleError
from orchestrator.store import accounts, claims, journal
from orchestrator.store.claims import Claim
from orchestrator.store.engine import Tx
from orchestrator.store.seal import Keyring
from providers.host import certificates
from providers.protocol import BadKey, Credential, Refused


@dataclass(frozen=True, slots=True)
class HolderKey:
    """A public key as OpenSSH writes it, without its comment."""

    line: str
    fingerprint: str


def claim_token(keyring: Keyring, account: str) -> str:
    """The secret part of a claim link: a keyed hash, so nothing is stored and every repetition answers the same."""
    mac = keyring.mac("claim", account)
    return f"{account}.{base64.urlsafe_b64encode(mac[:24]).decode().rstrip('=')}"


def account_of(keyring: Keyring, token: str) -> str | None:
    """The account of a claim link, or None when it is not one of ours."""
    account = token.partition(".")[0]
    expected = claim_token(keyring, account)
    return account if hmac.compare_digest(token.encode(), expected.encode()) else None


def claim_url(ctx: Context, account: str) -> str:
    """The link that a holder opens."""
    return f"{ctx.settings.base_url}/claim/{claim_token(ctx.keyring, account)}"


def checked_key(written: str) -> HolderKey:
    """The key when it is one line of an OpenSSH public key that we take; else RuleError `bad_key`."""
    try:
        key = certificates.holder_key(written)
    except Refused as unusable:
        raise RuleError("bad_key", str(unusable)) from unusable
    return HolderKey(certificates.public_line(key), certificates.fingerprint(key))


def claim(ctx: Context, account_id: str, public_key: str) -> Credential:
    """The credential of this account for this key; the same key gets the same answer until the end moves, or until
    what was minted is over before the lease is (a cloud's sessions last some hours at most).

    RuleError: bad_key, not_found, not_ready, fenced, ended, failed; KeyTaken when another key claimed first.
    """
    key = checked_key(public_key)
    account, kept = commit("claim.pin", ctx.store, lambda tx: _pin(ctx, tx, account_id, key))
    if kept is not None:
        return kept
    account = clock.start(ctx, account)
    assert account.ends_at is not None
    site = ctx.sites.get(account.site)
    try:
        fresh = effect("claim.issue", site.issue, spec_of(account), key.line, account.ends_at)
    except BadKey as unusable:
        commit("claim.unpin", ctx.store, lambda tx: claims.drop(tx, account_id, key.fingerprint))
        raise RuleError("bad_key", str(unusable)) from unusable
    except Refused as closed:
        raise RuleError("fenced", f"account {account_id}: the site has closed its logins") from closed
    return commit("claim.keep", ctx.store, lambda tx: _keep(ctx, tx, account, key, fresh))


def _pin(ctx: Context, tx: Tx, account_id: str, key: HolderKey) -> tuple[Account, Credential | None]:
    """The first key wins, before anything is minted."""
    account = accounts.get(tx, account_id)
    if account is None:
        raise RuleError("not_found", "there is no such account")
    if account.state not in USABLE:
        raise refusal(account, ctx.clock())
    known = claims.get(tx, account_id)
    if known is None or known.fingerprint != key.fingerprint:
        claims.put(tx, Claim(account_id, key.fingerprint, key.line, {}, ctx.clock()))
        return account, None
    return account, _current(known, account, ctx.clock())


def _current(known: Claim, account: Account, now: datetime) -> Credential | None:
    """What was minted for the end that is in force now; a session that is over before the lease is minted anew."""
    if known.credential.get("for_end") != text(account.ends_at):
        return None
    kept = from_json(known.credential)
    over = account.ends_at is not None and kept.expires <= now < account.ends_at
    return None if kept.sealed and over else kept


def _keep(ctx: Context, tx: Tx, account: Account, key: HolderKey, fresh: Credential) -> Credential:
    """Two claims at once mint twice; both are told what was kept first."""
    known = claims.get(tx, account.id)
    first = _current(known, account, ctx.clock()) if known else None
    if first is not None:
        return first
    claims.put(tx, Claim(account.id, key.fingerprint, key.line, to_json(fresh) | {"for_end": text(account.ends_at)},
                         ctx.clock()))
    journal.write(tx, "account.claimed", account.id, "holder", fingerprint=key.fingerprint)
    return fresh


def to_json(credential: Credential) -> dict[str, Any]:
    """The credential as the store keeps it and doors answer it."""
    return {"certificate": credential.certificate, "login": credential.login, "port": credential.port,
            "host_keys": list(credential.host_keys), "expires": text(credential.expires),
            "sealed": credential.sealed}


def from_json(plain: Mapping[str, Any]) -> Credential:
    """The credential back."""
    return Credential(plain["certificate"], plain["login"], plain["port"], tuple(plain["host_keys"]),
                      datetime.fromisoformat(plain["expires"]), plain.get("sealed", ""))


def refusal(account: Account, now: datetime) -> RuleError:
    """Why an account that is not usable cannot be claimed."""
    match account.state:
        case State.REQUESTED | State.PROVISIONING if account.booked(now):
            return RuleError("not_ready", f"account {account.id} begins at {text(account.begins_at)}")
        case State.REQUESTED | State.PROVISIONING:
            return RuleError("not_ready", f"account {account.id} is being made; try again in some seconds")
        case State.FAILED:
            return RuleError("failed", f"account {account.id} could not be made; the voucher is given back")
        case State.FENCED:
            return RuleError("fenced", f"account {account.id} is fenced")
        case _:
            return RuleError("ended", f"account {account.id} has ended")
