"""A Friday evening at a computing centre: three sites, four hundred accounts that end on Sunday, and some trouble."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import update

from orchestrator.lifecycle.account import Account, FencedBy, State
from orchestrator.lifecycle.holder import Holder, HolderKind
from orchestrator.lifecycle.offer import Offer, Tier
from orchestrator.store import accounts, capacity, holders, looks, outbox, senders, sites, tables
from orchestrator.store.engine import Store, Tx
from orchestrator.store.rows import Stuck, stuck_to_json
from orchestrator.store.sites import Places, SiteRow

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
SMALL = Offer("trial", containers=2, cpu_milli=500, memory=2**26, pids=64, storage=2**27, rate=10**7, egress=10**9,
              duration=DAY, images=("busybox",), grace=DAY)
LARGE = replace(SMALL, name="ascend-8")
DOWN = "ssh: wuxi-login.example.cn port 22: connection refused"
NO_PARENT = "slurm: no parent account 'tenure' at nanjing"


class Evening:
    """Fills a store; `nth` gives each account its own id."""

    def __init__(self, tx: Tx, now: datetime, sender: str = "city-portal", first: int = 0) -> None:
        self.tx, self.now, self.nth = tx, now, first
        self.sender = senders.add(tx, sender, "codes", "https://portal.example.cn/tenure", now)[0].id
        self.holder = holders.put(tx, self.sender, Holder("u-17", "Wang Xiaoming", HolderKind.INDIVIDUAL, "w@x.cn"))

    def site(self, name: str, kind: str, tier: Tier, *places: Places, **fields: Any) -> None:
        sites.put(self.tx, SiteRow(name, kind, tier, order=len(name), **fields))
        sites.put_places(self.tx, name, list(places))

    def account(self, site: str, ends: timedelta, state: State = State.ACTIVE, offer: Offer = SMALL,
                **fields: Any) -> str:
        """One account that ends so long from now, with its place."""
        self.nth += 1
        letters = "abcdefghijklmnopqrstuvwxyz234567"
        id = "a" + "".join(letters[self.nth * 2654435761 >> shift & 31] for shift in range(0, 45, 5))
        end = self.now + ends
        begun = min(self.now, end) - 30 * HOUR
        made = Account(id, f"event-{self.nth}", site, offer, state, begun, 1, begun + HOUR, **{
            "starts_at": begun, "ends_at": end} | fields)
        accounts.add(self.tx, made, sender=self.sender, holder=self.holder)
        if state is not State.RECLAIMED:
            capacity.hold(self.tx, id, site, offer.name, begun, max(end + offer.grace, self.now + HOUR), now=self.now)
        return id

    def stuck(self, id: str, what: str, error: str, who: str, count: int, since: timedelta, remedy: str = "") -> None:
        mark = Stuck(what, error, self.now - since, count, "operator" if who == "operator" else "tenure", remedy)
        self.tx.execute(update(tables.accounts).where(tables.accounts.c.id == id).values(stuck=stuck_to_json(mark)))

    def fenced(self, site: str, ended: timedelta, lag: timedelta) -> str:
        """An account that ended so long ago, fenced with this lag, and is in its grace."""
        return self.account(site, -ended, State.FENCED, fenced_at=self.now - ended + lag, fenced_by=FencedBy.END)


def furnish(store: Store, now: datetime) -> None:
    """The whole evening."""
    with store.write() as tx:
        it = Evening(tx, now)
        for offer in (SMALL, LARGE):
            sites.put_offer(tx, offer)
        it.site("nanjing", "slurm", "hub", Places("nanjing", "trial", 420), Places("nanjing", "ascend-8", 40),
                Places("nanjing", "ascend-8", 100, from_=now + 5 * DAY))
        it.site("wuxi-hpc", "linux", "city", Places("wuxi-hpc", "trial", 160))
        it.site("yangzhou-edge", "linux", "edge", Places("yangzhou-edge", "trial", 24), drained=True)
        _ends(it)
        _trouble(it)
        _past(it)
        _looks(it)


def _ends(it: Evening) -> None:
    for nth in range(400):
        it.account("wuxi-hpc" if nth % 4 == 0 else "nanjing", 2 * DAY - 4 * HOUR + nth * timedelta(seconds=36))
    for nth in range(60):
        it.account("yangzhou-edge" if nth % 10 == 0 else "nanjing", 10 * timedelta(minutes=1) + nth * nth * timedelta(
            seconds=24))
    for nth in range(30):
        it.account("nanjing", 3 * DAY + nth * 7 * HOUR, State.CONTRACTED, LARGE, contract=f"C-{nth}")
    it.account("nanjing", 9 * HOUR, State.FENCED, fenced_at=it.now - HOUR, fenced_by=FencedBy.OPERATOR)
    for nth in range(25):
        capacity.hold(it.tx, f"abooked{nth:02}", "nanjing", "ascend-8", it.now + (6 + nth % 3) * DAY, it.now + 12 * DAY,
                      now=it.now)


def _trouble(it: Evening) -> None:
    for nth in range(3):
        late = it.account("wuxi-hpc", -timedelta(minutes=4 + nth))
        it.stuck(late, "fence", DOWN, "tenure", 9, timedelta(minutes=4 + nth))
    for nth in range(6):
        gone = it.account("wuxi-hpc", -2 * DAY - nth * HOUR, State.RECLAIMING, fenced_at=it.now - 2 * DAY - nth * HOUR,
                          fenced_by=FencedBy.END)
        it.stuck(gone, "reclaim", DOWN, "tenure", 31, 50 * timedelta(minutes=1))
    making = it.account("nanjing", DAY, State.PROVISIONING, starts_at=None, ends_at=None)
    it.stuck(making, "provision", NO_PARENT, "operator", 4, timedelta(minutes=12), "sacctmgr add account tenure")
    for _ in range(5):
        outbox.put(it.tx, it.sender, "account.fenced", making, {}, it.now - 26 * HOUR)
    it.tx.execute(update(tables.outbox).values(attempts=14, due_at=it.now + HOUR))


def _looks(it: Evening) -> None:
    """The last looks of a worker: one site has not answered for six minutes."""
    for site in ("nanjing", "wuxi-hpc", "yangzhou-edge"):
        looks.answered(it.tx, site, it.now - timedelta(minutes=6, seconds=12), timedelta())
    looks.answered(it.tx, "nanjing", it.now - timedelta(seconds=4), timedelta(milliseconds=180))
    looks.answered(it.tx, "yangzhou-edge", it.now - timedelta(seconds=11), timedelta())
    for ago in (342, 12):
        looks.silent(it.tx, "wuxi-hpc", it.now - timedelta(seconds=ago), DOWN, "")


def _past(it: Evening) -> None:
    for nth in range(70):
        it.fenced("wuxi-hpc" if nth % 5 == 0 else "nanjing", HOUR + nth * timedelta(minutes=17),
                  timedelta(milliseconds=8 + nth * 3))
    for lag in (0.9, 1.4, 1.7, 6, 44, 312):
        it.fenced("wuxi-hpc", 20 * HOUR, timedelta(seconds=lag))
