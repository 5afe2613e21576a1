"""One Tenure whose processes are killed beside a site that outlives them, and what must hold in the end."""

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from orchestrator.app import App
from orchestrator.flows.accounts.convert import Ask, ask
from orchestrator.flows.context import Context
from orchestrator.flows.endings import certificate
from orchestrator.flows.vouchers.redeem import redeem
from orchestrator.flows.vouchers.request import Redeem
from orchestrator.lifecycle.account import State
from orchestrator.lifecycle.offer import Offer
from orchestrator.store import accounts, capacity, certificates, journal, outbox, senders, sites, vouchers
from orchestrator.store.accounts import AccountRecord, Filter
from orchestrator.store.sites import Places, SiteRow
from providers.memory.world import Keeper, World
from tests.faults.zygote import Order
from tests.flows.town import HOLDER, LARGER, OFFER, FakeStacks

PLACES = 10
LEASE_LAPSES = 30.0
BRIEF = replace(OFFER, warn_before=(), duration=timedelta(hours=1), grace=timedelta(hours=1))
CONTRACT = replace(LARGER, warn_before=(), grace=timedelta(hours=1))
CONTRACT_LASTS = timedelta(hours=10)


class Processes:
    """The zygote, for all tests of a session."""

    def __init__(self) -> None:
        self._zygote = subprocess.Popen([sys.executable, "-m", "tests.faults.zygote"], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)

    def run(self, order: Order) -> int:
        """Exit code of one run; negative when it was killed."""
        self.start(order)
        return self.finish()

    def start(self, order: Order) -> int:
        """Begin a run; answers its pid."""
        self._say(json.dumps(asdict(order)))
        return int(self._hear()["pid"])

    def stopped(self) -> None:
        """Wait until the run has stopped itself."""
        assert "stopped" in self._hear()

    def go_on(self) -> None:
        """Let a stopped run go on."""
        self._say("")

    def finish(self) -> int:
        """Exit code of the run that was started."""
        return int(self._hear()["code"])

    def close(self) -> None:
        assert self._zygote.stdin is not None
        self._zygote.stdin.close()
        self._zygote.wait(60)
        assert self._zygote.stdout is not None
        self._zygote.stdout.close()

    def _say(self, line: str) -> None:
        assert self._zygote.stdin is not None
        self._zygote.stdin.write(line + "\n")
        self._zygote.stdin.flush()

    def _hear(self) -> dict[str, int]:
        assert self._zygote.stdout is not None
        heard: dict[str, int] = json.loads(self._zygote.stdout.readline())
        return heard


class Stage:
    """A home, a site in a file, and a clock that runs `ahead` seconds before the machine's, for all alike."""

    def __init__(self, home: Path, processes: Processes, offer: Offer = BRIEF, database: str = "",
                 settings: str = "") -> None:
        home.mkdir()
        (home / "tenure.yaml").write_text(f"database: '{database}'\n{settings}")
        self.home, self.file, self.ahead = home, home / "site", 0.0
        self.processes = processes
        self.app = App.open(home, FakeStacks(), make=True)
        now = self.now()
        with self.ctx.store.write() as tx:
            self.sender, _ = senders.add(tx, "platform", "codes", None, now)
            sites.put(tx, SiteRow("north", "memory", "edge", settings={"file": str(self.file)}))
            for one in (offer, CONTRACT):
                sites.put_offer(tx, one)
            sites.put_places(tx, "north", [Places("north", one.name, PLACES) for one in (offer, CONTRACT)])
            self.codes = vouchers.issue(tx, self.sender.id, offer.name, PLACES, now, now + timedelta(days=365))
        self.offer = offer

    @property
    def ctx(self) -> Context:
        return replace(self.app.ctx, clock=self.now)

    def now(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=self.ahead)

    @contextmanager
    def site(self) -> Iterator[World]:
        """The site's own world, as no worker sees it."""
        with Keeper(self.file).held() as world:
            yield world

    def pass_time(self, seconds: float) -> None:
        """Time passes for Tenure and for the site alike."""
        self.ahead += seconds
        with self.site() as world:
            world.offset = self.ahead
            world.tick()
        with Keeper(Path(f"{self.file}-south")).held() as world:
            world.offset = self.ahead
            world.tick()

    def second(self) -> None:
        """Another site, the next in order."""
        with self.ctx.store.write() as tx:
            sites.put(tx, SiteRow("south", "memory", "edge", settings={"file": f"{self.file}-south"}, order=1))
            sites.put_places(tx, "south", [Places("south", one.name, PLACES) for one in (self.offer, CONTRACT)])

    def redeem(self, event: str = "e-1", code: int = 0, begins_at: datetime | None = None) -> str:
        """The event, or the same event again."""
        return redeem(self.ctx, self.sender, Redeem(event, "hash", self.codes[code], HOLDER,
                                                    begins_at=begins_at)).account

    def ask(self, account: str) -> None:
        """A contract for the account."""
        ask(self.ctx, Ask("C-1", account, CONTRACT.name, self.now() + CONTRACT_LASTS, "00"), actor="test")

    def run(self, goal: str = "idle", failpoint: str = "", trouble: str = "") -> int:
        """One worker process."""
        return self.processes.run(self.order(goal, failpoint, trouble))

    def order(self, goal: str = "idle", failpoint: str = "", trouble: str = "", pulumi: bool = False,
              act: str = "") -> Order:
        return Order(str(self.home), self.ahead, failpoint, goal, trouble, pulumi, act)

    def must(self, goal: str = "idle", trouble: str = "") -> None:
        """One worker process that has to reach its goal."""
        code = self.run(goal, trouble=trouble)
        assert code == 0, f"the worker ended with {code}: {self.records()}"

    def to_the_end(self) -> None:
        """Live on until every account has to be gone: ends, graces and contracts pass."""
        for hours in (1.1, 1.1, 11, 1.1):
            if all(record.account.state is State.RECLAIMED for record in self.records()):
                return
            self.pass_time(hours * 3600)
            self.must()

    def records(self) -> list[AccountRecord]:
        with self.ctx.store.read() as tx:
            return accounts.select(tx, Filter(), 100)

    def close(self) -> None:
        self.app.close()

    def uid(self, account: str) -> object:
        with self.site() as world:
            return world.tenancies[account].parts["account"]["uid"]


def check_everything_ended(stage: Stage, events: int = 1) -> None:
    """I2 one account an event, I4 all of them ended and gone, I5 the event still answers, I8 the journal is right."""
    records = stage.records()
    assert len(records) == events
    assert {record.account.state for record in records} == {State.RECLAIMED}
    assert {record.account.redemption: record.id for record in records}["e-1"] == stage.redeem()
    with stage.site() as world:
        assert world.tenancies == {}
    for record in records:
        _check_journal(stage, record)
    with stage.ctx.store.read() as tx:
        assert capacity.free(tx, "north", stage.offer.name, stage.now()) == PLACES
        assert capacity.free(tx, "north", CONTRACT.name, stage.now()) == PLACES


def _check_journal(stage: Stage, record: AccountRecord) -> None:
    """What was done was written down once, and told once; what was not done was not."""
    with stage.ctx.store.read() as tx:
        written = Counter(entry.action for entry in journal.list_(tx, subject=record.id, limit=1000))
        told = Counter(message.type for message in outbox.find(tx, outbox.Filter(account=record.id), 1000))
        signed = certificates.get(tx, record.id)
        used = [row.voucher.state.value for row in vouchers.list_(tx) if row.redeemed_at is not None]
    usable = record.account.starts_at is not None
    assert written["account.requested"] == 1
    assert written["account.usable"] == told["account.usable"] == int(usable)
    assert written["account.failed"] == told["account.failed"] == int(not usable)
    assert written["account.fenced"] >= int(usable)
    assert written["account.converted"] == told["account.converted"] <= 1
    assert written["account.reclaimed"] == told["account.reclaimed"] == 1
    assert bool(used) == usable
    assert signed is not None
    assert certificate.verifies(signed.document, signed.signature, certificate.public_key(stage.ctx.store))
