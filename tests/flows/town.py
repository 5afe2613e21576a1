"""A whole Tenure without doors: SQLite, memory sites, a clock that stands until it is moved, stacks that can fail."""

import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from orchestrator.flows.accounts.convert import Ask, ask
from orchestrator.flows.context import Context, SitePool
from orchestrator.flows.vouchers.redeem import Accepted, redeem
from orchestrator.flows.vouchers.request import Redeem
from orchestrator.flows.work.sweep import Sweep
from orchestrator.lifecycle.account import Account, State
from orchestrator.lifecycle.due import Owed
from orchestrator.lifecycle.holder import Holder, HolderKind
from orchestrator.lifecycle.offer import Offer
from orchestrator.settings import Settings
from orchestrator.store import accounts, contracts, journal, outbox, senders, sites, vouchers
from orchestrator.store.accounts import AccountRecord, Filter
from orchestrator.store.engine import Store
from orchestrator.store.seal import Keyring
from orchestrator.store.senders import Sender
from orchestrator.store.sites import Places, SiteRow
from providers.memory import meters
from providers.memory.site import MemorySite
from providers.memory.world import Tenancy, forget, keeper
from providers.protocol import PARTS, Site, Spec
from stacks.events import Change

START = datetime(2027, 3, 1, 8, 0, tzinfo=UTC)
OFFER = Offer(name="trial", containers=2, cpu_milli=500, memory=2**28, pids=100, storage=48 * 2**20, rate=20_000_000,
              egress=2**30, duration=timedelta(hours=24), images=("docker.io/library/alpine:3",))
LARGER = replace(OFFER, name="contract", containers=4, storage=96 * 2**20)
HOLDER = Holder("h-1", "南京某某科技有限公司", HolderKind.FIRM, "lab@example.com")


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.at = START

    def __call__(self) -> datetime:
        return self.at


@dataclass
class FakeStacks:
    """Parts made and removed without Pulumi, which cannot fail on demand. `before` and `after` see each operation."""

    changes: dict[str, list[Change]] = field(default_factory=dict)
    failing: dict[str, Exception] = field(default_factory=dict)
    calls: list[tuple[str, str]] = field(default_factory=list)
    before: Callable[[str, str], None] = lambda operation, account: None
    after: Callable[[str, str], None] = lambda operation, account: None

    def up(self, account: str, spec: Spec, site: Site) -> object:
        self._begin("up", account)
        made = [site.parts[name].ensure(spec) for name in PARTS]
        self.after("up", account)
        return made

    def preview(self, account: str, spec: Spec, site: Site) -> Sequence[Change]:
        self._begin("preview", account)
        return self.changes.get(account, [])

    def refresh(self, account: str, spec: Spec, site: Site) -> object:
        self._begin("refresh", account)
        return None

    def destroy(self, account: str, spec: Spec, site: Site) -> None:
        self._begin("destroy", account)
        for name in reversed(PARTS):
            site.parts[name].remove(spec)

    def remove(self, account: str) -> None:
        self._begin("remove", account)

    def _begin(self, operation: str, account: str) -> None:
        self.calls.append((operation, account))
        self.before(operation, account)
        if account in self.failing:
            raise self.failing[account]


class Town:
    """What tests act on. Time passes for Tenure and for its sites alike, unless a test moves them apart."""

    def __init__(self, home: Path, names: Sequence[str] = ("north",), places: int = 1000, offer: Offer = OFFER,
                 url: str | None = None) -> None:
        self.prefix = uuid.uuid4().hex[:6]
        self.clock, self.stacks = Clock(), FakeStacks()
        self.sites = {name: MemorySite(name, keeper(f"{self.prefix}-{name}")) for name in names}
        for site in self.sites.values():
            with site.keeper.held() as world:
                world.at = START.timestamp()
        settings, keyring = Settings(base_url="https://tenure.example"), Keyring.new()
        self.store = Store(url or settings.database_url(home), keyring)
        self.store.migrate()
        self.ctx = self.worker("w1", settings, home)
        self.offer = offer
        with self.store.write() as tx:
            self.sender, self.secret = senders.add(tx, "platform", "codes", None, START)
            for one in (offer, LARGER):
                sites.put_offer(tx, one)
            for name in names:
                sites.put(tx, SiteRow(name, "memory", "edge", {"chips": "ascend-910b"}))
                sites.put_places(tx, name, [Places(name, offer.name, places), Places(name, LARGER.name, places)])

    def worker(self, name: str, settings: Settings | None = None, home: Path | None = None) -> Context:
        """Another worker on the same database."""
        return Context(store=self.store, keyring=self.store.keyring, sites=SitePool(lambda site: self.sites[site]),
                       stacks=self.stacks, clock=self.clock, worker=name, settings=settings or self.ctx.settings,
                       home=home or self.ctx.home)

    def instead(self, name: str, site: object) -> None:
        """Another object answers for this site from now on."""
        self.sites[name] = cast(MemorySite, site)
        self.ctx.sites.forget(name)

    def close(self) -> None:
        self.store.close()
        for name in self.sites:
            forget(f"{self.prefix}-{name}")

    def advance(self, by: timedelta) -> None:
        """Time passes everywhere; each site's own reaper runs."""
        self.clock.at += by
        for site in self.sites.values():
            with site.keeper.held() as world:
                assert world.at is not None
                world.at += by.total_seconds()
                meters.look(world)
                world.tick()

    def advance_to(self, at: datetime) -> None:
        self.advance(at - self.clock.at)

    def codes(self, count: int = 1) -> list[str]:
        """Fresh voucher codes."""
        with self.store.write() as tx:
            return vouchers.issue(tx, self.sender.id, self.offer.name, count, self.clock.at - timedelta(days=1),
                                  self.clock.at + timedelta(days=365))

    def redeem(self, code: str | None = None, event: str | None = None, sender: Sender | None = None,
               **more: object) -> Accepted:
        """One redemption, checked at the door already."""
        request = Redeem(event or uuid.uuid4().hex, "hash", code or self.codes()[0], HOLDER)
        return redeem(self.ctx, sender or self.sender, replace(request, **more))  # type: ignore[arg-type]

    def work(self, ctx: Context | None = None, owed: frozenset[Owed] = frozenset(Owed)) -> int:
        """Do all that is due now, to the end; answers how much was taken up."""
        with Sweep(ctx or self.ctx, owed) as sweep:
            while True:
                before = sweep.claimed
                sweep.tick(self.clock.at)
                assert sweep.idle(30)
                if sweep.claimed == before:
                    return before

    def active(self, **more: object) -> str:
        """The id of an account that has just become usable."""
        account = self.redeem(**more).account  # type: ignore[arg-type]
        self.work()
        assert self.account(account).state is State.ACTIVE, self.record(account)
        return account

    def ask(self, account: str, contract: str = "C-1", offer: str | None = None, after: timedelta = timedelta(days=90),
            actor: str = "test") -> None:
        """A signed contract."""
        ask(self.ctx, Ask(contract, account, offer or LARGER.name, self.clock.at + after, "00" * 32), actor=actor)

    def account(self, id: str) -> Account:
        return self.record(id).account

    def record(self, id: str) -> AccountRecord:
        with self.store.read() as tx:
            return accounts.record(tx, id)

    def all(self) -> list[AccountRecord]:
        with self.store.read() as tx:
            return accounts.select(tx, Filter(), 10_000)

    def tenancy(self, id: str) -> Tenancy | None:
        """What the account's site has of it, past all faults."""
        with self.store.read() as tx:
            site = accounts.record(tx, id).site
        return self.sites[site].keeper.peek(lambda world: world.tenancies.get(id))

    def told(self, id: str) -> list[str]:
        """Types of the callbacks about the account, oldest first."""
        with self.store.read() as tx:
            return [message.type for message in reversed(outbox.find(tx, outbox.Filter(account=id)))]

    def journalled(self, id: str) -> list[str]:
        """The journal's actions on the account, oldest first."""
        with self.store.read() as tx:
            return [entry.action for entry in reversed(journal.list_(tx, subject=id))]

    def contract(self, account: str, id: str = "C-1") -> str:
        """The contract's state."""
        with self.store.read() as tx:
            known = contracts.get(tx, account, id)
        assert known is not None
        return known.state.value


def public_key() -> str:
    """A fresh holder's key."""
    key = Ed25519PrivateKey.generate().public_key()
    return key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode() + " holder@laptop"


@contextmanager
def town(home: Path, names: Sequence[str] = ("north",), **more: object) -> Iterator[Town]:
    """A town, closed at the end."""
    home.mkdir(parents=True, exist_ok=True)
    made = Town(home, names, **more)  # type: ignore[arg-type]
    try:
        yield made
    finally:
        made.close()
