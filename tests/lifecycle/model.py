"""A model of the whole: one site with its own clock and memory, a database of accounts, and the flows as generators.

Each `yield` of a flow is where a worker may be paused for good or be killed. The rules themselves are the real ones.
`bugs` plants known mistakes, so that the checker can be checked.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from orchestrator.lifecycle.account import Account, FencedBy, State
from orchestrator.lifecycle.due import Due, Owed, due_now, next_due
from orchestrator.lifecycle.offer import Offer

START = datetime(2026, 3, 1, tzinfo=UTC)
LEASE = timedelta(seconds=30)
TOLERANCE = timedelta(seconds=2)
OFFER = Offer("small", 1, 500, 2**26, 64, 2**27, 10**7, 10**9, duration=timedelta(hours=1), images=("busybox",),
              warn_before=(timedelta(minutes=10),), grace=timedelta(hours=2), provision_within=timedelta(minutes=5))


class Refused(Exception):
    """The site says no: a lower generation, a fence at the end, an end that has passed; or it is away."""


class Stale(Exception):
    """The database says no: the row is not as it was read."""


@dataclass
class Clocks:
    """True time, and how far our clock and the site's are from it. At most one of the two is wrong at a time."""

    true: datetime = START
    ours_off: timedelta = timedelta()
    site_off: timedelta = timedelta()

    @property
    def ours(self) -> datetime:
        return self.true + self.ours_off

    @property
    def site(self) -> datetime:
        return self.true + self.site_off


@dataclass
class There:
    """One account as the site has it."""

    end: datetime
    open: bool = False
    opened: tuple[datetime, datetime] | None = None
    fenced: FencedBy | None = None
    data: int | None = None
    """Which making of the storage it is: another number is other data."""


class Site:
    """Enforces ends alone when it is up; answers only when it can be reached."""

    def __init__(self, clocks: Clocks, bugs: frozenset[str]) -> None:
        self.clocks, self.bugs = clocks, bugs
        self.there: dict[str, There] = {}
        self.generations: dict[str, int] = {}
        self.reachable = True
        self.made = 0
        self.deleted: list[tuple[str, datetime]] = []

    def reap(self) -> None:
        """What the site's reaper does by itself, all the time."""
        for lease in self.there.values():
            if self.clocks.site >= lease.end and "no reaper" not in self.bugs and lease.fenced is not FencedBy.END:
                lease.open, lease.fenced = False, FencedBy.END

    def _accept(self, id: str, generation: int) -> None:
        if not self.reachable:
            raise Refused("away")
        if generation < self.generations.get(id, 0) and "forgets generations" not in self.bugs:
            raise Refused("stale")
        self.generations[id] = max(generation, self.generations.get(id, 0))

    def arm(self, id: str, end: datetime, generation: int) -> None:
        self._accept(id, generation)
        lease = self.there.setdefault(id, There(end))
        if lease.fenced is not None:
            raise Refused("fenced")
        lease.end = end

    def build(self, id: str, generation: int) -> None:
        self._accept(id, generation)
        lease = self._known(id)
        if lease.data is None or "rebuilds" in self.bugs:
            self.made += 1
            lease.data = self.made

    def open(self, id: str, duration: timedelta, generation: int) -> tuple[datetime, datetime]:
        self._accept(id, generation)
        lease = self._known(id)
        if lease.fenced is not None:
            raise Refused("fenced")
        if lease.opened is None:
            lease.opened = (self.clocks.site, self.clocks.site + duration)
            lease.end, lease.open = lease.opened[1], True
        return lease.opened

    def fence(self, id: str, generation: int, by: FencedBy) -> None:
        self._accept(id, generation)
        if (lease := self.there.get(id)) is not None:
            lease.open = False
            lease.fenced = FencedBy.END if FencedBy.END in (by, lease.fenced) else by

    def unfence(self, id: str, generation: int, end: datetime, *, contract: bool) -> None:
        self._accept(id, generation)
        lease = self._known(id)
        if end <= self.clocks.site:
            raise Refused("over")
        if lease.fenced is FencedBy.END and not contract and "lifts any fence" not in self.bugs:
            raise Refused("fenced at the end")
        lease.fenced, lease.open, lease.end = None, True, end

    def clean(self, id: str, generation: int) -> None:
        self._accept(id, generation)
        if self.there.pop(id, None) is not None:
            self.deleted.append((id, self.clocks.true))

    def leftovers(self, id: str) -> bool:
        if not self.reachable:
            raise Refused("away")
        return id in self.there

    def _known(self, id: str) -> There:
        if id not in self.there:
            raise Refused("nothing there")
        return self.there[id]


@dataclass
class Row:
    """What the database keeps of an account."""

    account: Account
    voucher: str
    claimed_until: datetime | None = None
    worker: str | None = None
    paused: Due | None = None
    moves: list[State] = field(default_factory=list)


@dataclass(frozen=True)
class Claim:
    account: Account
    owed: Owed
    worker: str


class Database:
    """Guarded as the store guards: by state, generation and claim."""

    def __init__(self, clocks: Clocks, bugs: frozenset[str]) -> None:
        self.clocks, self.bugs = clocks, bugs
        self.rows: dict[str, Row] = {}
        self.events: dict[str, str] = {}
        self.charged: list[str] = []

    def claim(self, id: str, worker: str, *, direct: bool = False) -> Claim | None:
        row = self.rows[id]
        if row.claimed_until is not None and self.clocks.ours < row.claimed_until:
            return None
        seen = replace(row.account, hold=False) if direct else row.account
        due = next_due(seen, row.paused)
        if due is None or (due.at > self.clocks.ours and not direct):
            return None
        due = due_now(seen, self.clocks.ours, row.paused)
        assert due is not None
        row.account = replace(row.account, generation=row.account.generation + 1)
        row.claimed_until, row.worker = self.clocks.ours + LEASE, worker
        return Claim(row.account, due.what, worker)

    def due_at(self, row: Row) -> datetime | None:
        """When a worker may take the row up."""
        due = next_due(row.account, row.paused)
        return None if due is None else max(due.at, row.claimed_until or due.at)

    def save(self, account: Account, was: Claim, *, release: bool) -> Claim:
        row = self._mine(was)
        row.account = account
        if account.state is not was.account.state:
            row.moves.append(account.state)
        if release:
            row.claimed_until = row.worker = row.paused = None
        return replace(was, account=account)

    def put_off(self, was: Claim) -> None:
        row = self._mine(was)
        row.claimed_until = row.worker = None
        row.paused = Due(was.owed, self.clocks.ours + LEASE)

    def _mine(self, was: Claim) -> Row:
        row = self.rows[was.account.id]
        same = (row.account.state, row.account.generation) == (was.account.state, was.account.generation)
        if (not same or row.worker != was.worker) and "saves unguarded" not in self.bugs:
            raise Stale
        return row


class World:
    """Everything, and the flows on it."""

    def __init__(self, bugs: frozenset[str] = frozenset()) -> None:
        self.bugs = bugs
        self.clocks = Clocks()
        self.site = Site(self.clocks, bugs)
        self.db = Database(self.clocks, bugs)

    def redeem(self, event: str, voucher: str) -> str | None:
        """The account of an event; None when the voucher is in use. A second one only when the first is shown gone."""
        if event in self.db.events:
            return self.db.events[event]
        earlier = [row for row in self.db.rows.values() if row.voucher == voucher]
        failed = all(State.FAILED in row.moves and row.account.state is State.RECLAIMED for row in earlier)
        if not failed and not ("early voucher" in self.bugs and earlier[-1].account.state is State.FAILED):
            return None
        id = f"a{len(self.db.rows)}"
        account = Account(id, event, "site", OFFER, State.REQUESTED, self.clocks.ours, 1,
                          self.clocks.ours + OFFER.provision_within)
        self.db.rows[id] = Row(account, voucher)
        self.db.events[event] = id
        return id

    def work(self, claim: Claim) -> Iterator[None]:
        """The flow of what is owed, put off when the site says no, given up when the database does."""
        flow = {Owed.PROVISION: self.provision, Owed.WARN: self.warn, Owed.FENCE: self.fence,
                Owed.CONVERT: self.convert, Owed.RECLAIM: self.reclaim}[claim.owed]
        try:
            yield from flow(claim)
        except Refused:
            try:
                self.db.put_off(claim)
            except Stale:
                return
        except Stale:
            return

    def provision(self, claim: Claim) -> Iterator[None]:
        account, generation = claim.account, claim.account.generation
        if account.state is State.REQUESTED and self.clocks.ours < account.provision_by:
            claim = self.db.save(account.move(State.PROVISIONING, at=self.clocks.ours), claim, release=False)
            yield
        if self.clocks.ours >= account.provision_by:
            self.db.save(claim.account.move(State.FAILED, at=self.clocks.ours), claim, release=True)
            return
        if abs(self.clocks.site - self.clocks.ours) > TOLERANCE:
            raise Refused("clocks differ")
        yield  # paused here, a worker has looked at the clock for the last time before it writes
        lease = self.site.there.get(account.id)
        if lease is None or lease.opened is None:
            self.site.arm(account.id, account.provisional_end(), generation)
            yield
        self.site.build(account.id, generation)
        yield
        if abs(self.clocks.site - self.clocks.ours) > TOLERANCE:
            raise Refused("clocks differ")
        start, end = self.site.open(account.id, account.offer.duration, generation)
        yield
        self.db.save(replace(claim.account.move(State.ACTIVE, at=self.clocks.ours), starts_at=start, ends_at=end),
                     claim, release=True)

    def warn(self, claim: Claim) -> Iterator[None]:
        if not self.site.reachable:
            raise Refused("away")
        yield
        self.db.save(replace(claim.account, warned=claim.account.warned + 1), claim, release=True)

    def fence(self, claim: Claim, by: FencedBy = FencedBy.END) -> Iterator[None]:
        account = claim.account
        if "fence without site" not in self.bugs:
            self.site.fence(account.id, account.generation, by)
            yield
        moved = account if account.state is State.FENCED else account.move(State.FENCED, at=self.clocks.ours)
        self.db.save(replace(moved, fenced_by=by, fenced_at=self.clocks.ours), claim, release=True)

    def reclaim(self, claim: Claim) -> Iterator[None]:
        account, generation = claim.account, claim.account.generation
        if account.hold:
            raise Refused("held")
        if account.state is State.FENCED and not account.reclaim_asked:
            assert account.grace_until is not None
            clocks = [self.clocks.ours] if "one clock" in self.bugs else [self.clocks.ours, self.clocks.site]
            if min(clocks) < account.grace_until:
                raise Refused("in grace")
        if account.state is not State.RECLAIMING:
            claim = self.db.save(account.move(State.RECLAIMING, at=self.clocks.ours), claim, release=False)
            yield
        self.site.fence(account.id, generation, FencedBy.END)
        yield
        if "forgets to clean" not in self.bugs:
            self.site.clean(account.id, generation)
            yield
        if self.site.leftovers(account.id) and "forgets to clean" not in self.bugs:
            raise Refused("not empty")
        self.db.save(claim.account.move(State.RECLAIMED, at=self.clocks.ours), claim, release=True)

    def convert(self, claim: Claim) -> Iterator[None]:
        account, generation = claim.account, claim.account.generation
        end = max(self.clocks.ours, account.ends_at or START) + timedelta(hours=5)
        if account.state is State.FENCED:
            self.site.unfence(account.id, generation, end, contract=True)
        else:
            self.site.arm(account.id, end, generation)
        yield
        self.site.build(account.id, generation)
        yield
        converted = account.move(State.CONTRACTED, at=self.clocks.ours)
        self.db.save(replace(converted, ends_at=end, convert_asked=False, warned=0, starts_at=self.clocks.ours), claim,
                     release=True)
        self.db.charged.append(str(account.contract))

    def extend(self, claim: Claim, by: timedelta) -> Iterator[None]:
        """The site's answer decides against a fence; the database records it."""
        assert claim.account.ends_at is not None
        end = claim.account.ends_at + by
        try:
            self.site.arm(claim.account.id, end, claim.account.generation)
            yield
            self.db.save(replace(claim.account, ends_at=end), claim, release=True)
        except (Refused, Stale):
            return

    def unfence(self, claim: Claim) -> Iterator[None]:
        account = claim.account
        assert account.ends_at is not None
        try:
            self.site.unfence(account.id, account.generation, account.ends_at, contract=False)
            yield
            self.db.save(account.move(State.ACTIVE, at=self.clocks.ours), claim, release=True)
        except (Refused, Stale):
            return

    def operator_fence(self, claim: Claim) -> Iterator[None]:
        try:
            yield from self.fence(claim, by=FencedBy.OPERATOR)
        except (Refused, Stale):
            return
