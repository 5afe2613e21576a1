"""Vouchers by keyed hash. The code itself is told once, when it is made, and is nowhere in the database.

A digest is of sender and code: two senders may use the same code, and neither can use the other's.
"""

import secrets
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from sqlalchemy import bindparam, select, update

from orchestrator.lifecycle.errors import RuleError
from orchestrator.lifecycle.voucher import Voucher, VoucherState, redeemable
from orchestrator.store import tables
from orchestrator.store.engine import Tx
from orchestrator.store.errors import Conflict
from orchestrator.store.ledger import from_whole
from orchestrator.store.seal import Keyring
from orchestrator.store.sql import insert_new, keyring

_table = tables.vouchers
_GET = select(_table).where(_table.c.digest == bindparam("of"))
_GET_LOCKED = _GET.with_for_update()
_REDEEM = update(_table).where(_table.c.digest == bindparam("of")).values(
    state=VoucherState.REDEEMED.value, redeemed_at=bindparam("at"))
_ALPHABET = "23456789ABCDEFGHJKMNPQRSTVWXYZ"
_GROUPS, _GROUP = 5, 5


@dataclass(frozen=True, slots=True)
class VoucherRow:
    """A voucher with its sender, for lists; with its programme and what it is worth there, and with the account that
    it was redeemed for, where it has them."""

    voucher: Voucher
    sender: str
    redeemed_at: datetime | None
    programme: str | None = None
    worth: Decimal | None = None
    account: str | None = None


def digest(keys: Keyring, sender: str, code: str) -> str:
    """What stands for the code of this sender (its id) in the database, 64 hex digits."""
    return keys.mac("voucher", f"{sender}\n{code.strip()}").hex()


def digest_here(tx: Tx, sender: str, code: str) -> str:
    """The same, with the keyring of this transaction's store."""
    return digest(keyring(tx), sender, code)


def new_code() -> str:
    """A code of 122 random bits in letters that are not confused when read aloud."""
    return "-".join("".join(secrets.choice(_ALPHABET) for _ in range(_GROUP)) for _ in range(_GROUPS))


def issue(tx: Tx, sender: str, offer: str, count: int, valid_from: datetime, valid_until: datetime) -> list[str]:
    """New vouchers of a sender (its id); answers their codes, which nobody can read again."""
    codes = [new_code() for _ in range(count)]
    import_(tx, sender, offer, codes, valid_from, valid_until)
    return codes


def import_(tx: Tx, sender: str, offer: str, codes: list[str], valid_from: datetime, valid_until: datetime) -> int:
    """Take over codes made elsewhere; those already known are left as they are. Answers how many were new."""
    if valid_until <= valid_from:
        raise RuleError("bad_validity", "a voucher's validity ends after it begins")
    fresh = {digest(keyring(tx), sender, code) for code in codes}
    return sum(insert_new(tx, _table, {
        "digest": found, "sender": sender, "offer": offer, "state": VoucherState.ISSUED.value,
        "valid_from": valid_from, "valid_until": valid_until}) for found in sorted(fresh))


def get(tx: Tx, digest: str, *, lock: bool = False) -> Voucher | None:
    """The voucher, or None. With `lock` nobody else may redeem it until this transaction ends."""
    row = tx.execute(_GET_LOCKED if lock else _GET, {"of": digest}).first()
    return None if row is None else Voucher(row.digest, row.offer, VoucherState(row.state), row.valid_from,
                                            row.valid_until)


def redeem(tx: Tx, digest: str, at: datetime) -> Voucher:
    """Lock the voucher and mark it redeemed. RuleError with the reason when it may not be redeemed now."""
    voucher = redeemable(get(tx, digest, lock=True), at)
    tx.execute(_REDEEM, {"of": digest, "at": at})
    return voucher


def take(tx: Tx, voucher: Voucher, sender: str, at: datetime) -> Voucher:
    """Redeem a voucher that a trusted sender's payload describes: known from now on, redeemed.

    Used before: RuleError `voucher_used`, unless it was restored since.
    """
    redeemable(voucher, at)
    if insert_new(tx, _table, {
            "digest": voucher.digest, "sender": sender, "offer": voucher.offer, "redeemed_at": at,
            "state": VoucherState.REDEEMED.value, "valid_from": voucher.valid_from,
            "valid_until": voucher.valid_until}):
        return voucher
    return redeem(tx, voucher.digest, at)


def restore(tx: Tx, digest: str) -> None:
    """Usable again: its account FAILED and is shown empty. Validity still counts."""
    tx.execute(update(_table).where(_table.c.digest == digest, _table.c.state == VoucherState.REDEEMED.value)
               .values(state=VoucherState.ISSUED.value, redeemed_at=None))


def void(tx: Tx, digest: str) -> None:
    """Nobody may redeem it any more. RuleError when it is unknown, Conflict when it was already redeemed."""
    found = get(tx, digest, lock=True)
    if found is None:
        raise RuleError("voucher_unknown", "this voucher code is not known")
    if found.state is VoucherState.REDEEMED:
        raise Conflict("this voucher was already redeemed: fence or reclaim its account instead")
    tx.execute(update(_table).where(_table.c.digest == digest).values(state=VoucherState.VOID.value))


def expire(tx: Tx, now: datetime) -> int:
    """Mark what was never redeemed in time. Answers how many."""
    found = tx.execute(update(_table).where(
        _table.c.state == VoucherState.ISSUED.value, _table.c.valid_until <= now,
    ).values(state=VoucherState.EXPIRED.value).returning(_table.c.digest))
    return len(found.all())


def list_(tx: Tx, *, sender: str | None = None, state: VoucherState | None = None, limit: int = 100
          ) -> list[VoucherRow]:
    """Vouchers by digest."""
    grants, redeemed = tables.grants, tables.redemptions
    chosen = select(_table.c.digest).order_by(_table.c.digest).limit(limit)
    if sender is not None:
        chosen = chosen.where(_table.c.sender == sender)
    if state is not None:
        chosen = chosen.where(_table.c.state == state.value)
    made = {row.voucher: row.account for row in tx.execute(
        select(redeemed.c.voucher, redeemed.c.account).where(redeemed.c.voucher.in_(chosen))
        .order_by(redeemed.c.at))}
    query = (select(_table, grants.c.programme, grants.c.worth, grants.c.account)
             .outerjoin(grants, grants.c.digest == _table.c.digest)
             .where(_table.c.digest.in_(chosen)).order_by(_table.c.digest))
    return [VoucherRow(Voucher(row.digest, row.offer, VoucherState(row.state), row.valid_from, row.valid_until),
                       row.sender, row.redeemed_at, row.programme,
                       None if row.worth is None else from_whole(row.worth),
                       row.account or (made.get(row.digest) if row.redeemed_at else None))
            for row in tx.execute(query)]
