"""One process of a storm of redemptions, each with its own voucher: run with URL KEYS FIRST COUNT."""

import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

from orchestrator.store import accounts, capacity, holders, redemptions, senders, vouchers
from orchestrator.store.engine import Store
from orchestrator.store.redemptions import Redemption
from orchestrator.store.seal import Keyring
from tests.store.making import HOLDER, NOW, OFFER, new, number

PATIENT = timedelta(seconds=120)


class NoPlaces(Exception):
    """Refused: the transaction takes everything back."""


def code(nth: int) -> str:
    return f"CODE-{nth}"


def redeem(store: Store, sender: str, nth: int) -> bool:
    """One redemption in one transaction, as the flow does it; False when there is no place."""
    try:
        with store.write() as tx:
            digest = vouchers.digest(store.keyring, sender, code(nth))
            redemptions.remember(tx, Redemption(f"event-{nth}", sender, "hash", digest, number(nth), NOW))
            vouchers.redeem(tx, digest, NOW)
            if not capacity.hold(tx, number(nth), "nanjing", OFFER.name, NOW, NOW + OFFER.duration):
                raise NoPlaces
            accounts.add(tx, new(nth), sender=sender, holder=holders.put(tx, sender, HOLDER))
        return True
    except NoPlaces:
        return False


def storm(store: Store, sender: str, first: int, count: int, threads: int = 16) -> int:
    """How many of the redemptions got a place."""
    with ThreadPoolExecutor(threads) as pool:
        return sum(pool.map(lambda nth: redeem(store, sender, nth), range(first, first + count)))


def main(url: str, keys: str, first: str, count: str) -> None:
    store = Store(url, Keyring.open(Path(keys)), busy=PATIENT)
    with store.read() as tx:
        sender = senders.list_(tx)[0].id
    sys.stdout.write(f"{storm(store, sender, int(first), int(count), threads=8)}\n")
    store.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
