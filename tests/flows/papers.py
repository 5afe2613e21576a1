"""Contracts in any order: wished, drafted, signed, withdrawn, converted, ended, converted again; with sites and stacks
that fail, and workers that die between two steps or come back late.

What must hold: I7, conversion destroys nothing and charges nothing twice; I8, the journal is what was done.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from orchestrator.flows.accounts import operate
from orchestrator.flows.accounts.convert import convert
from orchestrator.flows.accounts.extend import extend
from orchestrator.flows.context import SitePool
from orchestrator.flows.money import bill, contract
from orchestrator.flows.work import durable
from orchestrator.lifecycle import money
from orchestrator.lifecycle.account import State
from orchestrator.lifecycle.bill import Bill
from orchestrator.lifecycle.contract import ContractState
from orchestrator.lifecycle.due import Owed
from orchestrator.lifecycle.errors import RuleError
from orchestrator.lifecycle.paper import PaperState
from orchestrator.lifecycle.periods import Period, month, months, named
from orchestrator.lifecycle.times import zone
from orchestrator.store import accounts, contracts, journal, ledger, papers
from orchestrator.store.accounts import Claimed
from orchestrator.store.errors import StoreError
from orchestrator.store.ledger import Line
from providers.protocol import Refused, SiteError, TryLater
from stacks.events import Change
from tests.flows.money.test_contract import priced
from tests.flows.mortal import Died, Mortal
from tests.flows.town import LARGER, OFFER, town

GONE = {State.RECLAIMING, State.RECLAIMED}
LEASE = timedelta(seconds=20)
CASH = Decimal("100.00")
LENGTHS = st.sampled_from([timedelta(seconds=30), timedelta(hours=3), timedelta(hours=11), timedelta(days=1),
                           timedelta(days=4), timedelta(days=20)])


class Contracts(RuleBasedStateMachine):
    """One account, one holder, an operator, a platform, two workers, and everything that can go wrong."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = TemporaryDirectory()
        self.opened = town(Path(self.folder.name) / "home", offer=replace(OFFER, grace=timedelta(days=20)))
        self.town = self.opened.__enter__()
        self.account = priced(self.town)
        with self.town.store.write() as tx:
            lines = [Line("given/p", "CNY", -CASH), Line(bill.credit_of(self.account), "CNY", CASH)]
            ledger.post(tx, "redeem/r", lines, self.town.clock.at, "p: redeemed")
        with self.town.sites["north"].keeper.held() as world:
            there = world.tenancies[self.account]
            there.stored, there.strays = 4711, ["shm"]
            self.data = there.parts["account"]["uid"], there.parts["storage"]["subvolume"], 4711, ["shm"]
        self.town.stacks.before = self._replaced
        self.foretold = False
        self.done: Counter[str] = Counter()
        self.begun: dict[str, datetime] = {}
        self.closed: dict[str, Bill] = {}
        self.late: Claimed | None = None

    @initialize(of=st.sampled_from(["a trial", "a contract", "a contract's grace"]), customer=st.sampled_from("AE"))
    def begins(self, of: str, customer: str) -> None:
        """Where the story begins."""
        if of != "a trial":
            self.goes_on(customer, 5, 1, "works")
        if of == "a contract's grace":
            self.its_end_comes(timedelta())

    def _may(self, act: Callable[[], object], counted: str = "") -> None:
        """It is done, and counted; or refused, and nothing of it."""
        try:
            act()
        except (RuleError, SiteError, StoreError):
            return
        self.done[counted] += 1

    def _replaced(self, operation: str, account: str) -> None:
        """A stack refuses to replace a part. Where its preview had said so, that must not even be tried: what was
        stored is gone, for all to see."""
        if operation == "preview":
            self.foretold = bool(self.town.stacks.changes)
        if operation == "up" and self.town.stacks.changes:
            if not self.foretold:
                raise Refused(f"account {account}: it would remove its storage")
            with self.town.sites["north"].keeper.held() as world:
                world.tenancies[account].stored = 0

    def _papers(self) -> list[str]:
        with self.town.store.read() as tx:
            return [paper.id for paper in papers.list_(tx, account=self.account)]

    @rule(customer=st.sampled_from("ABE"), days=st.sampled_from([1, 2, 30, 400, None]))
    def drafts(self, customer: str, days: int | None) -> None:
        until = None if days is None else self.town.clock.at + timedelta(days=days)
        self._may(lambda: contract.draft(self.town.ctx, self.account, customer, until, actor="test"), "drafted")

    @rule()
    def wishes(self) -> None:
        self._may(lambda: contract.wish(self.town.ctx, self.account, timedelta(days=3)))

    @rule(nth=st.integers(0, 3), shown=st.booleans(), holder=st.booleans())
    def signs(self, nth: int, shown: bool, holder: bool) -> None:
        """The newest paper or an older one; the document that was shown, or another; by the holder or an operator."""
        if known := self._papers():
            paper = self._paper(known[min(nth, len(known) - 1)])
            digest = paper.digest if shown and paper.digest else "ab" * 32
            self._may(lambda: contract.sign(self.town.ctx, paper.id, digest, actor="holder" if holder else "cli:0"))

    @rule(customer=st.sampled_from("AE"), days=st.sampled_from([1, 4, 9, 40]), steps=st.integers(1, 12),
          how=st.sampled_from(["waits", "works", "lost", "pulumi", "replace", "dies", "late"]))
    def goes_on(self, customer: str, days: int, steps: int, how: str) -> None:
        """Drafted, signed, and converted at once, in trouble or not."""
        self.drafts(customer, days)
        self.signs(0, True, True)
        if how in ("lost", "pulumi", "replace"):
            self.a_fault(how)
        if how == "dies":
            self.a_worker_dies(steps)
        if how == "late":
            self.a_worker_comes_late(True)
        if how != "waits":
            self.town.work()
        if how == "late":
            self.a_worker_comes_late(True)

    @rule(late=st.sampled_from([timedelta(), timedelta(minutes=1), timedelta(days=2)]))
    def its_end_comes(self, late: timedelta) -> None:
        account, now = self.town.account(self.account), self.town.clock.at
        if account.ends_at is not None and now < account.ends_at < now + timedelta(days=100):
            self.town.advance_to(account.ends_at + late)
            self.town.work()

    @rule(nth=st.integers(0, 3))
    def withdraws(self, nth: int) -> None:
        if known := self._papers():
            self._may(lambda: contract.withdraw(self.town.ctx, known[min(nth, len(known) - 1)], actor="test"))

    @rule(nth=st.integers(1, 3), larger=st.booleans())
    def a_platform_asks(self, nth: int, larger: bool) -> None:
        """A contract of its own, without a price."""
        offer = LARGER.name if larger else self.town.offer.name
        self._may(lambda: self.town.ask(self.account, f"P-{nth}", offer, timedelta(days=2)))

    @rule(what=st.sampled_from(["fence", "unfence", "hold", "let go", "reclaim", "extend"]))
    def an_operator(self, what: str) -> None:
        ctx, id = self.town.ctx, self.account
        acts: dict[str, Callable[[], object]] = {
            "fence": lambda: operate.fence(ctx, id, actor="test"),
            "unfence": lambda: operate.unfence(ctx, id, actor="test"),
            "hold": lambda: operate.hold(ctx, True, account=id, actor="test"),
            "let go": lambda: operate.hold(ctx, False, account=id, actor="test"),
            "reclaim": lambda: operate.reclaim(ctx, id, actor="test"),
            "extend": lambda: extend(ctx, id, by=timedelta(hours=5), actor="test")}
        self._may(acts[what], what)

    @rule()
    def works(self) -> None:
        self.town.work()

    @rule(length=LENGTHS)
    def time_passes(self, length: timedelta) -> None:
        self.town.advance(length)

    @rule(steps=st.integers(1, 12))
    def a_worker_dies(self, steps: int) -> None:
        """Converting, before or after one of its calls; its claim lapses."""
        taken = self._take()
        if taken is None:
            return
        life = [steps]
        ctx = replace(self.town.worker("w2"), stacks=Mortal(self.town.stacks, life),
                      sites=SitePool(lambda name: Mortal(self.town.sites[name], life)))
        try:
            self._may(lambda: convert(ctx, taken))
        except Died:
            self.done["deaths"] += 1
        self.town.advance(LEASE)

    @rule(waits=st.booleans())
    def a_worker_comes_late(self, waits: bool) -> None:
        """It took the account up, slept through its claim, and goes on as if nothing had happened since."""
        if self.late is None:
            self.late = self._take()
            self.town.advance(LEASE if waits else timedelta())
            return
        late, self.late = self.late, None
        durable.work(self.town.worker("w2"), late)

    def _take(self) -> Claimed | None:
        with self.town.store.write() as tx:
            found = accounts.claim_due(tx, self.town.clock.at, "w2", frozenset({Owed.CONVERT}), 1, LEASE)
        return found[0] if found else None

    @rule(what=st.sampled_from(["dead", "lost", "pulumi", "replace", "over", "over"]))
    def a_fault(self, what: str) -> None:
        """The site is away, loses answers, the stack fails, would replace a part; or all that is over."""
        with self.town.sites["north"].keeper.held() as world:
            world.faults.dead = what == "dead"
            world.faults.lost_answers = 1 if what == "lost" else 0
        self.town.stacks.failing = {self.account: TryLater("pulumi: timed out")} if what == "pulumi" else {}
        self.town.stacks.changes = {self.account: [Change("storage", "replace")]} if what == "replace" else {}

    @rule(after=st.booleans(), fenced=st.booleans())
    def closes(self, after: bool, fenced: bool) -> None:
        """All bills that there are to close, perhaps after the month, or under a fence; those that were closed are the
        same."""
        if fenced:
            self.town.advance(timedelta(hours=3))
            self.an_operator("fence")
        if after:
            self.town.advance_to(month(named(Period.MONTH, self.town.clock.at, zone()), zone())[1])
            self.town.work()
        for called in months(self.town.clock.at - timedelta(days=62), self.town.clock.at, zone()):
            try:
                made = bill.close(self.town.ctx, self.account, called, actor="test")
            except RuleError:
                continue
            assert self.closed.setdefault(called, made) == made, f"I7: {called} has another bill"

    @invariant()
    def i7_nothing_is_destroyed_before_the_reclaim(self) -> None:
        there = self.town.tenancy(self.account)
        if self.town.account(self.account).state in GONE:
            return
        assert there is not None, "I7: its tenancy is gone"
        assert (there.parts["account"]["uid"], there.parts["storage"]["subvolume"], there.stored, there.strays
                ) == self.data, "I7: its data is other data"

    @invariant()
    def i7_nothing_is_charged_twice(self) -> None:
        """Contracts follow each other, each began once; a closed month is within them; cash pays once."""
        spans = []
        for one in self._contracts():
            if one.begun_at is not None:
                assert self.begun.setdefault(one.id, one.begun_at) == one.begun_at, f"I7: {one.id} began twice"
                spans.append((one.begun_at, one.until(self.town.account(self.account))))
        for before, after in zip(sorted(spans), sorted(spans)[1:], strict=False):
            assert before[1] <= after[0], f"I7: two contracts at once: {spans}"
        whole = sum((until - since for since, until in spans), timedelta())
        billed = sum(part.seconds for one in self.closed.values() for part in one.parts)
        assert billed <= whole.total_seconds() + 1, "I7: more is billed than there was"
        with self.town.store.read() as tx:
            left = ledger.balance(tx, bill.credit_of(self.account))
            assert ledger.check(tx) == []
        assert left + sum((one.taken for one in self.closed.values()), money.ZERO) == CASH

    @invariant()
    def one_contract_in_force_and_one_paper_open(self) -> None:
        with self.town.store.read() as tx:
            known = papers.list_(tx, account=self.account)
            stages = [contract.stage_of(tx, paper) for paper in known]
        active = [one for one in self._contracts() if one.state is ContractState.ACTIVE]
        account = self.town.account(self.account)
        assert sum(paper.state in (PaperState.WISHED, PaperState.DRAFT) for paper in known) <= 1
        assert len(active) <= 1, f"in force at once: {[one.id for one in active]}"
        assert stages.count("active") <= (account.state is State.CONTRACTED)
        if account.state is State.CONTRACTED:
            assert [one.id for one in active] == [account.contract]

    @invariant()
    def i8_the_journal_is_what_was_done(self) -> None:
        wrote = Counter(self.town.journalled(self.account))
        told = Counter(self.town.told(self.account))
        found = self._contracts()
        with self.town.store.read() as tx:
            signed = [one for one in papers.list_(tx, account=self.account) if one.state is PaperState.SIGNED]
            entries = [(entry.action, entry.facts.get("contract")) for entry in reversed(
                journal.list_(tx, subject=self.account, limit=1000))]
        assert wrote["contract.drafted"] == self.done["drafted"]
        assert wrote["account.extended"] == self.done["extend"]
        assert wrote["bill.closed"] == len(self.closed)
        assert wrote["contract.signed"] == len(signed)
        assert wrote["contract.asked"] == len(found)
        assert wrote["account.converted"] == told["account.converted"] == len(self.begun)
        assert wrote["contract.refused"] == told["contract.refused"] == sum(
            one.state is ContractState.REFUSED for one in found)
        for one in found:
            story = [action for action, of in entries if of == one.id]
            ends = [action for action in story if action in ("account.converted", "contract.refused")]
            assert len(ends) <= 1, f"I8: {one.id}: {story}"
            assert not ends or story.index("contract.asked") < story.index(ends[0]), f"I8: {one.id}: {story}"
            assert (one.begun_at is not None) == ("account.converted" in ends), f"I8: {one.id}: {story}"

    def _every_month_that_is_over_can_be_closed(self) -> None:
        """Once no fence is left to be lifted; together they have every second in which a contract had a price."""
        self.an_operator("unfence")
        self.town.work()
        over = month(named(Period.MONTH, self.town.clock.at, zone()), zone())[1]
        self.town.advance_to(over + timedelta(seconds=1))
        self.town.work()
        spans = [(one.begun_at, min(one.until(self.town.account(self.account)), over)) for one in self._contracts()
                 if one.begun_at is not None and (paper := self._paper(one.id)) is not None and paper.terms]
        for called in months(min((since for since, _ in spans), default=over), over, zone()):
            try:
                self.closed.setdefault(called, bill.close(self.town.ctx, self.account, called, actor="test"))
            except RuleError as refused:
                if refused.code not in ("no_contract", "not_in_force", "no_price"):
                    raise
        billed = sum(part.seconds for one in self.closed.values() for part in one.parts)
        assert billed == sum((until - since) // timedelta(seconds=1) for since, until in spans), f"I7: lost: {spans}"

    def _contracts(self) -> list[Any]:
        with self.town.store.read() as tx:
            return contracts.for_account(tx, self.account)

    def _paper(self, id: str) -> Any:
        with self.town.store.read() as tx:
            return papers.get(tx, id)

    def teardown(self) -> None:
        """All faults over: what was asked is decided, what is due ends, and the site has what the record says."""
        try:
            self.a_fault("over")
            for _ in range(4):
                self.town.advance(timedelta(minutes=10))
                self.town.work()
            account, there = self.town.account(self.account), self.town.tenancy(self.account)
            assert not account.convert_asked, "a contract was never decided"
            if account.state is State.CONTRACTED:
                assert account.ends_at is not None
                assert there is not None
                assert (there.usable, there.end) == (True, account.ends_at.timestamp())
            self.i7_nothing_is_destroyed_before_the_reclaim()
            self._every_month_that_is_over_can_be_closed()
            self.i7_nothing_is_charged_twice()
            self.i8_the_journal_is_what_was_done()
        finally:
            self.opened.__exit__(None, None, None)
            self.folder.cleanup()
