"""Small makers that the store's tests share."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from orchestrator.lifecycle.account import Account, State
from orchestrator.lifecycle.due import Owed
from orchestrator.lifecycle.holder import Holder, HolderKind
from orchestrator.lifecycle.offer import Offer
from orchestrator.store import accounts, holders, senders, sites
from orchestrator.store.engine import Store

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
LEASE = timedelta(seconds=30)
HOUR = timedelta(hours=1)
ALL = frozenset(Owed)
DIRECT = frozenset({Owed.FENCE, Owed.WARN})
OFFER = Offer("small", containers=2, cpu_milli=500, memory=2**26, pids=64, storage=2**27, rate=10**7, egress=10**9,
              duration=timedelta(hours=24), images=("busybox",), warn_before=(HOUR,), grace=timedelta(days=1))
HOLDER = Holder("u-17", "Wang Xiaoming", HolderKind.INDIVIDUAL, "wang@example.cn")


def seconds(count: float) -> timedelta:
    return timedelta(seconds=count)


def number(nth: int) -> str:
    """A well-formed account id."""
    letters = "234567abcdefghijklmnopqrstuvwxyz"
    return "a" + "".join(letters[nth >> shift & 31] for shift in range(40, -1, -5))


def new(nth: int = 0, **fields: Any) -> Account:
    """An account as a redemption leaves it."""
    return replace(Account(number(nth), f"event-{nth}", "nanjing", OFFER, State.REQUESTED, NOW, 1,
                           NOW + OFFER.provision_within), **fields)


def active(nth: int = 0, **fields: Any) -> Account:
    """An account in its lease."""
    return new(nth, **{"state": State.ACTIVE, "starts_at": NOW, "ends_at": NOW + OFFER.duration} | fields)


@dataclass(frozen=True)
class World:
    store: Store
    sender: str
    secret: str
    holder: str

    def add(self, *these: Account) -> None:
        with self.store.write() as tx:
            for account in these:
                accounts.add(tx, account, sender=self.sender, holder=self.holder)

    def claim(self, now: datetime = NOW, worker: str = "w1", owed: frozenset[Owed] = ALL, limit: int = 10,
              per_site: int | None = None) -> list[accounts.Claimed]:
        with self.store.write() as tx:
            return accounts.claim_due(tx, now, worker, owed, limit, LEASE, per_site)

    def record(self, nth: int = 0) -> accounts.AccountRecord:
        with self.store.read() as tx:
            return accounts.record(tx, number(nth))


def furnish(store: Store, places: int = 100) -> World:
    with store.write() as tx:
        sender, secret = senders.add(tx, "nanjing-vouchers", "codes", None, NOW)
        holder = holders.put(tx, sender.id, HOLDER)
        sites.put_offer(tx, OFFER)
        for order, name in enumerate(("nanjing", "wuxi")):
            sites.put(tx, sites.SiteRow(name, "memory", "city", order=order))
            sites.put_places(tx, name, [sites.Places(name, OFFER.name, places)])
    return World(store, sender.id, secret, holder)
