"""The sweep: asks the accounts table what is due and hands it out. Fences and warnings have lanes of their own for each
site and wait for nothing else; provision, reclaim and convert run in a bounded number of threads."""

import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from orchestrator.flows.accounts.fence import fence, put_off
from orchestrator.flows.context import Context
from orchestrator.flows.effects import commit
from orchestrator.flows.lanes import Lanes
from orchestrator.flows.messages.warn import warn
from orchestrator.flows.trouble import Trouble, pause, tried
from orchestrator.flows.work.claims_kept import LEASE, ClaimsKept, renew
from orchestrator.flows.work.durable import DURABLE, work
from orchestrator.lifecycle.due import Owed
from orchestrator.store import accounts
from orchestrator.store.accounts import Claimed
from orchestrator.store.engine import Tx
from orchestrator.store.errors import Conflict, StoreError

log = logging.getLogger(__name__)

FENCE_LEASE = timedelta(seconds=15)
WARN_LEASE = timedelta(seconds=5)
"""Short: a warning that hangs must not keep an account from its fence."""
AT_ONCE = 1000
AT_ONCE_PER_SITE = 250
ROUNDS = 20
LONGEST_SHY = timedelta(minutes=1)
"""How long at most nothing is begun at a site that did not answer."""


@dataclass(frozen=True, slots=True)
class Lane:
    """Accounts that failed before have a lane of their own: one that hangs holds up no healthy one."""

    site: str
    what: Owed
    suspect: bool = False


class Sweep:
    """One worker's sweep. `owed` limits what it does (the cron job reaps and does not provision), `most` how much."""

    def __init__(self, ctx: Context, owed: frozenset[Owed] = frozenset(Owed), most: int | None = None) -> None:
        self.ctx = ctx
        self._owed = owed
        # A warning or a conversion that is too late is a fence, whether or not this sweep does the former.
        self._asked = owed | {Owed.WARN, Owed.CONVERT} if Owed.FENCE in owed else owed
        self._most = most
        self._fences: Lanes[Lane, Claimed] = Lanes(self._fence, self._refuse, width=2)
        self._warnings: Lanes[Lane, Claimed] = Lanes(self._warn, self._refuse)
        workers = ctx.settings.workers
        self._slots = {Owed.PROVISION: workers.provision, Owed.CONVERT: workers.convert, Owed.RECLAIM: workers.reclaim}
        self._running: dict[Owed, int] = dict.fromkeys(DURABLE, 0)
        self._at_site: dict[str, int] = {}
        self._shy: dict[str, tuple[int, datetime]] = {}
        self._changed = threading.Condition()
        self._kept = ClaimsKept(ctx)
        self.claimed = 0
        """How many pieces of work it has taken up so far."""

    def __enter__(self) -> "Sweep":
        self._kept.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._kept.__exit__()

    def run(self, stop: threading.Event) -> None:
        """Until told to stop: do what is due, then wait for the next due time, new work, or the poll."""
        poll = self.ctx.settings.workers.poll
        while not stop.is_set():
            wait = poll
            try:
                wake = self.tick(self.ctx.clock())
                if wake is not None:
                    wait = min(max(wake - self.ctx.clock(), timedelta(milliseconds=5)), poll)
            except StoreError as error:
                log.warning("the database does not answer, the sites go on by themselves: %s", error)
                wait = timedelta(seconds=0.5)
            except Exception:
                # Ends wait for nobody, not even for the fault of ours that this is.
                log.exception("sweep")
                wait = timedelta(seconds=0.5)
            self.ctx.wake.wait(wait.total_seconds())
            self.ctx.wake.clear()

    def tick(self, now: datetime) -> datetime | None:
        """Hand out what is due; answers when the next thing is. Costs one query when nothing is."""
        with self.ctx.store.read() as tx:
            wake = accounts.next_wake(tx, self._asked)
            if wake is None or wake > now:
                return wake
            due = self._due(tx, now)
        for owed, lease in ((Owed.FENCE, FENCE_LEASE), (Owed.WARN, WARN_LEASE)):
            if owed in due:
                self._direct(now, owed, lease)
        for owed in DURABLE:
            if owed in due:
                self._durable(now, owed)
        return now + self.ctx.settings.workers.poll

    def _due(self, tx: Tx, now: datetime) -> frozenset[Owed]:
        """What is worth a write transaction: with many workers on one database those are dear."""
        found = {owed for owed in self._asked if (at := accounts.next_wake(tx, frozenset({owed}))) and at <= now}
        if found & {Owed.WARN, Owed.CONVERT}:
            found.add(Owed.FENCE)
        return frozenset(found & self._owed)

    def idle(self, timeout: float | None = None) -> bool:
        """Wait until nothing that was taken up still runs."""
        with self._changed:
            calm = self._changed.wait_for(lambda: not any(self._running.values()), timeout)
        return calm and self._fences.idle(timeout) and self._warnings.idle(timeout)

    def _direct(self, now: datetime, owed: Owed, lease: timedelta) -> None:
        most = self._within(AT_ONCE)
        if most <= 0:
            return
        taken = commit("sweep.claim", self.ctx.store, lambda tx: accounts.claim_due(
            tx, now, self.ctx.worker, frozenset({owed}), most, lease, AT_ONCE_PER_SITE))
        self.claimed += len(taken)
        lanes = self._fences if owed is Owed.FENCE else self._warnings
        grouped: dict[Lane, list[Claimed]] = {}
        for claimed in taken:
            suspect = claimed.stuck is not None and claimed.stuck.what == owed.value
            grouped.setdefault(Lane(claimed.account.site, owed, suspect), []).append(claimed)
        for lane, group in grouped.items():
            lanes.put(lane, group)

    def _within(self, wanted: int) -> int:
        """So many, or what is left of `most`."""
        return wanted if self._most is None else min(wanted, self._most - self.claimed)

    def _fence(self, lane: Lane, batch: Sequence[Claimed]) -> bool:
        return fence(self.ctx, lane.site, batch)

    def _warn(self, lane: Lane, batch: Sequence[Claimed]) -> bool:
        warn(self.ctx, lane.site, batch)
        return False

    def _refuse(self, lane: Lane, batch: Sequence[Claimed]) -> None:
        found = Trouble(lane.what.value, f"site {lane.site}: does not answer", "tenure")
        put_off(self.ctx, [(claimed, found) for claimed in batch])

    def _durable(self, now: datetime, owed: Owed) -> None:
        for _ in range(ROUNDS):
            with self._changed:
                free = self._within(self._slots[owed] - self._running[owed])
            if free <= 0:
                return
            taken = commit("sweep.claim", self.ctx.store, partial(self._claim, now=now, owed=owed, free=free))
            for claimed in taken:
                until = self._shy_until(claimed.account.site, now)
                if until is None:
                    self._start(owed, claimed)
                else:
                    self._give_back(claimed, until)
            if len(taken) < free:
                return

    def _shy_until(self, site: str, now: datetime) -> datetime | None:
        """A site that did not answer gets one flow at a time, after a pause that grows, until one succeeds."""
        with self._changed:
            failed, until = self._shy.get(site, (0, now))
            if not failed or (until <= now and not self._at_site.get(site)):
                return None
            return max(until, now + timedelta(seconds=1))

    def _claim(self, tx: Tx, now: datetime, owed: Owed, free: int) -> list[Claimed]:
        taken = accounts.claim_due(tx, now, self.ctx.worker, frozenset({owed}), free, LEASE, free)
        for claimed in taken:
            renew(self.ctx, tx, claimed)
        return taken

    def _give_back(self, claimed: Claimed, until: datetime) -> None:
        """Its site does not answer: it would only take a place from accounts of other sites."""
        try:
            commit("sweep.give_back", self.ctx.store, lambda tx: accounts.release(tx, claimed, retry_at=until))
        except Conflict as lost:
            log.info("%s", lost)

    def _start(self, owed: Owed, claimed: Claimed) -> None:
        site = claimed.account.site
        with self._changed:
            self._running[owed] += 1
            self._at_site[site] = self._at_site.get(site, 0) + 1
        self.claimed += 1
        self._kept.add(claimed)
        name = f"{owed}-{claimed.account.id}"
        threading.Thread(target=self._flow, args=(owed, claimed), name=name, daemon=True).start()

    def _flow(self, owed: Owed, claimed: Claimed) -> None:
        site = claimed.account.site
        down = True
        try:
            found = work(self.ctx, claimed)
            down = found is not None and isinstance(tried("clock", lambda: self.ctx.sites.get(site).now()), Trouble)
        finally:
            self._kept.drop(claimed)
            self._over(owed, site, down)
            self.ctx.wake.set()

    def _over(self, owed: Owed, site: str, down: bool) -> None:
        with self._changed:
            self._running[owed] -= 1
            self._at_site[site] -= 1
            if down:
                failed = self._shy.get(site, (0, None))[0] + 1
                until = self.ctx.clock() + pause(failed, LONGEST_SHY)
                self._shy[site] = failed, until
                self.ctx.sites.avoid(site, until)
            else:
                self._shy.pop(site, None)
            self._changed.notify_all()
