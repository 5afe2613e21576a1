"""What an account was when: first its voucher's, then one contract's after another. Its meters go by that."""

from orchestrator.lifecycle.account import Account
from orchestrator.lifecycle.offer import Offer
from orchestrator.lifecycle.usage import Stint
from orchestrator.store import contracts, redemptions, sites, vouchers
from orchestrator.store.engine import Tx


def of(tx: Tx, account: Account) -> list[Stint]:
    """Its stints, first to last. The present offer is as the account has it, earlier ones as they are known now."""
    start = account.starts_at or account.since
    later = sorted((Stint(one.begun_at, _named(tx, account, one.offer), one.id, one.until(account))
                    for one in contracts.for_account(tx, account.id) if one.begun_at is not None),
                   key=lambda stint: stint.since)
    if not later:
        return [Stint(start, account.offer)]
    return [Stint(start, _first(tx, account)), *later]


def _first(tx: Tx, account: Account) -> Offer:
    redeemed = redemptions.by_account(tx, account.id)
    voucher = vouchers.get(tx, redeemed.voucher) if redeemed is not None and redeemed.voucher is not None else None
    return account.offer if voucher is None else _named(tx, account, voucher.offer)


def _named(tx: Tx, account: Account, name: str) -> Offer:
    return account.offer if name == account.offer.name else sites.get_offer(tx, name) or account.offer
