"""After the end: a credential with which the holder fetches their own files until grace is over, and nothing else."""

from datetime import datetime

from orchestrator.flows.context import Context, spec_of
from orchestrator.flows.effects import commit, effect
from orchestrator.flows.messages.callbacks import text
from orchestrator.flows.vouchers.claim import HolderKey, checked_key, from_json, refusal, to_json
from orchestrator.lifecycle.account import USABLE, Account, FencedBy, State
from orchestrator.lifecycle.errors import RuleError
from orchestrator.store import accounts, claims, journal
from orchestrator.store.claims import Claim
from orchestrator.store.engine import Tx
from providers.protocol import Credential, Refused

KEPT = "rescue"
"""Where a claim keeps what was minted for fetching, beside what was minted for logins."""


def open_until(account: Account, now: datetime) -> datetime | None:
    """Until when its holder may fetch their files, in whole seconds; None when that is not now. A hold keeps the files
    longer, but opens nothing: it is an operator's."""
    until = account.grace_until
    if until is None or account.starts_at is None or account.reclaim_asked or now >= until.replace(microsecond=0):
        return None
    return until.replace(microsecond=0)


def rescue(ctx: Context, account_id: str, public_key: str) -> Credential:
    """The credential for fetching, for the key that claimed the account, or for the first that comes now. The same key
    gets the same answer.

    RuleError: bad_key, not_found, no_rescue (its sentence says why not, and what else there is), and those of `claim`;
    KeyTaken when another key claimed first.
    """
    key = checked_key(public_key)
    account, until, kept = commit("rescue.pin", ctx.store, lambda tx: _pin(ctx, tx, account_id, key))
    if kept is not None:
        return kept
    site = ctx.sites.get(account.site)
    try:
        fresh = effect("rescue.allow", site.rescue, spec_of(account), key.line, until)
    except Refused as closed:
        commit("rescue.unpin", ctx.store, lambda tx: claims.drop(tx, account_id, key.fingerprint))
        raise RuleError("no_rescue", str(closed)) from closed
    return commit("rescue.keep", ctx.store, lambda tx: _keep(ctx, tx, account, key, until, fresh))


def minted(account: Account, claim: Claim | None) -> Credential | None:
    """What was minted for fetching until the grace that is in force now ends."""
    kept = claim.credential.get(KEPT) if claim is not None else None
    until = account.grace_until
    if not kept or until is None or kept["for_until"] != text(until.replace(microsecond=0)):
        return None
    return from_json(kept)


def _pin(ctx: Context, tx: Tx, account_id: str, key: HolderKey) -> tuple[Account, datetime, Credential | None]:
    """The first key wins, here as before the end."""
    account = accounts.get(tx, account_id)
    if account is None:
        raise RuleError("not_found", "there is no such account")
    until = open_until(account, ctx.clock())
    if until is None:
        raise _closed(account, ctx.clock())
    known = claims.get(tx, account_id)
    if known is None or known.fingerprint != key.fingerprint:
        claims.put(tx, Claim(account_id, key.fingerprint, key.line, {}, ctx.clock()))
        return account, until, None
    return account, until, minted(account, known)


def _closed(account: Account, now: datetime) -> RuleError:
    if account.state is State.FENCED and account.fenced_by is FencedBy.END:
        return RuleError("no_rescue", f"account {account.id}: its grace is over, nothing more can be fetched")
    if account.state in USABLE:
        return RuleError("no_rescue", f"account {account.id} is in use: files are fetched through its own logins")
    return refusal(account, now)


def _keep(ctx: Context, tx: Tx, account: Account, key: HolderKey, until: datetime, fresh: Credential) -> Credential:
    """Two at once mint twice; both are told what was kept first."""
    known = claims.get(tx, account.id)
    first = minted(account, known)
    if first is not None:
        return first
    kept = {**(known.credential if known else {}), KEPT: to_json(fresh) | {"for_until": text(until)}}
    claims.put(tx, Claim(account.id, key.fingerprint, key.line, kept, ctx.clock()))
    journal.write(tx, "account.rescue_opened", account.id, "holder", fingerprint=key.fingerprint, until=until)
    return fresh
